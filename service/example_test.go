package service_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/cisternhq/cistern/config"
	qserrors "github.com/cisternhq/cistern/request/errors"
	"github.com/cisternhq/cistern/service"
)

// The keys and the endpoint come from the environment: QINGSTOR_ACCESS_KEY_ID, QINGSTOR_SECRET_ACCESS_KEY, QINGSTOR_ENDPOINT.
func Example() {
	c, err := config.NewDefault()
	if err != nil {
		log.Fatal(err)
	}
	s, err := service.Init(c)
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := s.Bucket("my-bucket", "pek3a")
	if err != nil {
		log.Fatal(err)
	}
	_, err = bucket.PutObject("hello.txt", &service.PutObjectInput{
		ContentType: service.String("text/plain"),
		Body:        strings.NewReader("hello"),
	})
	var refused *qserrors.QingStorError
	if errors.As(err, &refused) && refused.Code == "bucket_not_exists" {
		log.Fatal("make the bucket first")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// All keys below a prefix, however many pages the server makes of them.
func ExampleBucket_Objects() {
	var bucket *service.Bucket // of Service.Bucket
	for key, err := range bucket.Objects(context.Background(), &service.ListObjectsInput{Prefix: service.String("images/")}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(service.StringValue(key.Key), service.Int64Value(key.Size))
	}
}

// A link that is good for an hour.
func ExampleBucket_GetObjectRequest() {
	var bucket *service.Bucket // of Service.Bucket
	r, _, err := bucket.GetObjectRequest("hello.txt", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := r.BuildWithContext(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := r.SignQuery(3600); err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.HTTPRequest.URL)
}
