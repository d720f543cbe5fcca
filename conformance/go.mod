module github.com/cisternhq/cistern/conformance

go 1.26.0

require github.com/yunify/qingstor-sdk-go/v3 v3.2.0

require (
	github.com/pengsrc/go-shared v0.2.1-0.20190131101655-1999055a4a14 // indirect
	gopkg.in/yaml.v2 v2.2.2 // indirect
)
