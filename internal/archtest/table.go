package archtest

// Module is the path of the module whose tree is checked.
const Module = "github.com/cisternhq/cistern"

// Rules is the table of Cistern: arrows point from the dialects down to the words.
// Changing it is a decision, made in a commit of its own with the reason.
func Rules() Table {
	return Table{
		Module: Module,
		Rows: map[string]Row{
			// The words know nothing of ours.
			"internal/object": {NoHTTP: true},

			// What a bucket's policy says is the same whoever asks.
			"internal/policy": {Imports: []string{"internal/object"}, NoHTTP: true},

			// Objects at rest know neither sources nor dialects.
			"internal/store":           {Imports: []string{"internal/object"}, NoHTTP: true},
			"internal/store/diskstore": {Imports: []string{"internal/store", "internal/object"}, NoHTTP: true},
			"internal/store/memstore":  {Imports: []string{"internal/store", "internal/object"}, NoHTTP: true},
			"internal/store/storetest": {Imports: []string{"internal/store", "internal/object"}, NoHTTP: true},
			"internal/keys":            {Imports: []string{"internal/object"}, NoHTTP: true},

			// How bodies are encrypted with a client's key is the same wherever they are kept.
			"internal/seal": {Imports: []string{"internal/object"}, NoHTTP: true},

			// The way out to sources knows neither buckets nor the store.
			"internal/origin": {Imports: []string{"internal/object"}},

			// What the server does by itself works on what is stored, whoever asked for it.
			"internal/lifecycle": {Imports: []string{"internal/store", "internal/object"}, NoHTTP: true},
			"internal/notify":    {Imports: []string{"internal/store", "internal/object"}, NoHTTP: true},
			"internal/replicate": {Imports: []string{"internal/store", "internal/object"}, NoHTTP: true},
			"internal/accesslog": {Imports: []string{"internal/store", "internal/object"}, NoHTTP: true},

			// What is done with pictures knows neither where they are kept nor how the network is reached.
			"internal/image": {Imports: []string{"internal/object"}, NoHTTP: true},

			// The fill and the server know nothing of HTTP.
			"internal/fill": {
				Imports: []string{"internal/origin", "internal/store", "internal/object"},
				NoHTTP:  true,
			},
			"internal/cistern": {
				Imports: []string{"internal/fill", "internal/origin", "internal/store", "internal/keys", "internal/policy", "internal/seal", "internal/object",
					"internal/lifecycle", "internal/notify", "internal/replicate", "internal/accesslog", "internal/image"},
				NoHTTP: true,
			},

			// Signatures and the mapping of structs to messages are shared by the SDK and the dialects.
			"internal/sign": {},
			"internal/wire": {},

			// The public SDK sees of the inside only those two.
			"config": {Imports: []string{"utils"}}, // connections with bounds
			"request": {
				Imports: []string{"request/data", "request/errors", "request/response", "request/signer/...", "config", "internal/sign", "internal/wire"},
				Tests:   []string{"service"}, // requests are built from operations
			},
			"request/data":       {Imports: []string{"config"}},
			"request/errors":     {},
			"request/signer/...": {Imports: []string{"request/signer/...", "internal/sign", "internal/wire"}},
			"service": {
				Imports: []string{"request", "request/data", "request/errors", "config", "internal/wire"},
				Tests:   []string{"internal/sign"}, // the server's side of a signature
			},

			// Packages that programs written for QingStor's SDK import beside these.
			".":                {Imports: []string{"request"}}, // the version
			"request/builder":  {Imports: []string{"request", "request/data"}, Tests: []string{"config", "request/response"}},
			"request/response": {Imports: []string{"request/data", "request/errors", "internal/wire"}},
			"client/image":     {Imports: []string{"service"}, Tests: []string{"config"}},
			"client/upload":    {Imports: []string{"service"}, Tests: []string{"config", "request/errors"}},
			"interface":        {Imports: []string{"service"}},
			"utils":            {Imports: []string{"request/errors", "internal/wire"}},
			"log":              {Imports: []string{"request"}, Tests: []string{"config", "service"}}, // the only one that knows zap
			"logger":           {},

			// The dialect decodes the SDK's own structs, so that an operation is defined once.
			"internal/qsapi": {
				Imports: []string{"internal/cistern", "internal/sign", "internal/wire", "internal/object", "internal/seal", "internal/store",
					"service", "request/data", "request/errors", "internal/lifecycle", "internal/notify", "internal/replicate", "internal/accesslog", "internal/image"},
				Tests: []string{"internal/fill", "internal/origin", "internal/keys"}, // the server below the dialect
			},

			// Logs, metrics: what the server reports is handed to it, it asks nobody.
			"internal/telemetry": {},

			// The server put together, for the command and for tests. No part knows it.
			"internal/node": {
				Imports: []string{"internal/qsapi", "internal/cistern", "internal/fill", "internal/origin", "internal/store/...",
					"internal/keys", "internal/telemetry", "internal/object", "internal/sign", "service",
					"internal/lifecycle", "internal/notify", "internal/replicate", "internal/accesslog", "internal/image"},
			},

			// Nothing is hidden from the command, nothing depends on it. Examples are users of the SDK.
			"cmd/cistern":  {Imports: []string{"*"}},
			"examples/...": {Imports: []string{"config", "service", "request/...", "client/..."}},

			"internal/cisterntest": {Imports: []string{"*"}},
			"internal/archtest":    {},
		},
		Tests:    []string{"internal/object", "internal/store", "internal/store/memstore", "internal/store/storetest", "internal/cisterntest"},
		TestOnly: []string{"internal/cisterntest", "internal/store/storetest", "internal/archtest"},
	}
}
