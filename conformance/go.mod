module github.com/cisternhq/cistern/conformance

go 1.26.0

require (
	github.com/qingstor/qingstor-sdk-go/v4 v4.4.1
	github.com/yunify/qingstor-sdk-go/v3 v3.2.0
)

require (
	github.com/pengsrc/go-shared v0.2.1-0.20190131101655-1999055a4a14 // indirect
	go.uber.org/atomic v1.7.0 // indirect
	go.uber.org/multierr v1.6.0 // indirect
	go.uber.org/zap v1.19.0 // indirect
	gopkg.in/yaml.v2 v2.4.0 // indirect
)
