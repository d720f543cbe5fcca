// Command mirror makes a bucket fill itself from a site, and reads an object that only the site has.
//
//	mirror HOST PORT KEY SECRET BUCKET SITE OBJECT
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/qingstor/qingstor-sdk-go/v4/config"
	"github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	qs "github.com/qingstor/qingstor-sdk-go/v4/service"
)

func main() {
	log.SetFlags(0)
	conf, err := config.NewDefault()
	if err != nil {
		log.Fatal(err)
	}
	conf.AccessKeyID, conf.SecretAccessKey = os.Args[3], os.Args[4]
	conf.Protocol, conf.Host = "http", os.Args[1]
	conf.Port, _ = strconv.Atoi(os.Args[2])
	service, _ := qs.Init(conf)
	bucket, _ := service.Bucket(os.Args[5], "")
	if _, err := bucket.Put(); err != nil {
		log.Fatal(err)
	}

	_, err = bucket.PutExternalMirror(&qs.PutBucketExternalMirrorInput{})
	if e, ok := err.(errors.ParameterRequiredError); ok {
		fmt.Println("nothing was sent:", e.ParameterName, e.ParentName)
	} else {
		log.Fatal(err)
	}
	put, err := bucket.PutExternalMirror(&qs.PutBucketExternalMirrorInput{SourceSite: qs.String(os.Args[6])})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("set:", qs.IntValue(put.StatusCode), qs.StringValue(put.RequestID) != "")
	mirror, err := bucket.GetExternalMirror()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("source:", qs.StringValue(mirror.SourceSite) == os.Args[6])

	for range 2 {
		output, err := bucket.GetObject(os.Args[7], nil)
		if err != nil {
			log.Fatal(err)
		}
		content, err := io.ReadAll(output.Body)
		if err != nil {
			log.Fatal(err)
		}
		output.Close()
		fmt.Printf("%d %s %q\n", qs.IntValue(output.StatusCode), qs.StringValue(output.ContentType), content)
	}
	_, err = bucket.GetObject("absent", nil)
	if e, ok := err.(*errors.QingStorError); ok {
		fmt.Println("absent:", e.StatusCode, e.Code, e.RequestID != "")
	} else {
		log.Fatal(err)
	}

	head, err := bucket.HeadObject(os.Args[7], nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored:", qs.Int64Value(head.ContentLength))
	deleted, err := bucket.DeleteExternalMirror()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("taken away:", qs.IntValue(deleted.StatusCode))
}
