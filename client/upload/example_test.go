package upload_test

import (
	"context"
	"errors"
	"log"
	"os"

	"github.com/cisternhq/cistern/client/upload"
	"github.com/cisternhq/cistern/service"
)

// A large file, in parts of 16 MiB. If it breaks off it goes on once more with what is missing.
func Example() {
	var bucket *service.Bucket // of Service.Bucket
	f, err := os.Open("large.iso")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	u := upload.Init(bucket, 16<<20)
	u.Keep = true
	err = u.UploadWithContext(context.Background(), f, "large.iso")
	var incomplete *upload.IncompleteError
	if errors.As(err, &incomplete) {
		err = u.Resume(context.Background(), f, incomplete.Key, incomplete.UploadID)
	}
	if err != nil {
		log.Fatal(err)
	}
}
