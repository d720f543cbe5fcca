// Package surface compares what the SDK exports with what QingStor's own Go SDKs export.
//
// It knows nothing of behaviour: the programs and the clients of the neighbouring packages are for that.
package surface

// The genuine modules are needed for their export data alone, which the test asks the go command for.
import (
	_ "github.com/qingstor/qingstor-sdk-go/v4/client/image"
	_ "github.com/qingstor/qingstor-sdk-go/v4/client/upload"
	_ "github.com/qingstor/qingstor-sdk-go/v4/interface"
	_ "github.com/qingstor/qingstor-sdk-go/v4/log"
	_ "github.com/yunify/qingstor-sdk-go/v3/client/image"
	_ "github.com/yunify/qingstor-sdk-go/v3/client/upload"
	_ "github.com/yunify/qingstor-sdk-go/v3/interface"
	_ "github.com/yunify/qingstor-sdk-go/v3/logger"
)
