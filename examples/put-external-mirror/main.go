// Command put-external-mirror sets the source site of a bucket, as the documentation of PUT Bucket External Mirror shows it.
//
// It needs nothing but environment variables:
//
//	export QINGSTOR_ACCESS_KEY_ID=... QINGSTOR_SECRET_ACCESS_KEY=... QINGSTOR_ENDPOINT=http://127.0.0.1:9000
//	go run ./examples/put-external-mirror [BUCKET [ZONE [SOURCE-SITE]]]
//
// It prints the status of the answer, which is 200.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/cisternhq/cistern/config"
	qserrors "github.com/cisternhq/cistern/request/errors"
	"github.com/cisternhq/cistern/service"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		var refused *qserrors.QingStorError
		if errors.As(err, &refused) {
			fmt.Fprintf(os.Stderr, "the server answered %d %s: %s\n", refused.StatusCode, refused.Code, refused.Message)
		} else {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	arg := func(i int, otherwise string) string {
		if i < len(args) {
			return args[i]
		}
		return otherwise
	}
	bucketName := arg(0, "your-bucket-name")
	zone := arg(1, "pek3a")
	sourceSite := arg(2, "http://example.com:80/image/")

	c, err := config.New(os.Getenv(config.EnvAccessKeyID), os.Getenv(config.EnvSecretAccessKey))
	if err != nil {
		return err
	}
	qingStor, err := service.Init(c)
	if err != nil {
		return err
	}
	bucket, err := qingStor.Bucket(bucketName, zone)
	if err != nil {
		return err
	}
	output, err := bucket.PutExternalMirror(&service.PutBucketExternalMirrorInput{
		SourceSite: service.String(sourceSite),
	})
	if err != nil {
		return err
	}
	fmt.Println(service.IntValue(output.StatusCode))
	return nil
}
