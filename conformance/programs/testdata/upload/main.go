// Command upload puts files into a bucket, large ones in parts, and says what the bucket has of them afterwards.
//
//	upload HOST PORT KEY SECRET BUCKET FILE...
package main

import (
	"crypto/md5"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"

	"github.com/qingstor/qingstor-sdk-go/v4/client/upload"
	"github.com/qingstor/qingstor-sdk-go/v4/config"
	"github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	qs "github.com/qingstor/qingstor-sdk-go/v4/service"
)

func main() {
	log.SetFlags(0)
	conf, err := config.New(os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	conf.Protocol, conf.Host = "http", os.Args[1]
	conf.Port, _ = strconv.Atoi(os.Args[2])
	conf.LogLevel = "fatal"
	service, err := qs.Init(conf)
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := service.Bucket(os.Args[5], "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := bucket.Put(); err != nil {
		e, ok := err.(*errors.QingStorError)
		if !ok || e.StatusCode != 409 {
			log.Fatal(err)
		}
	}

	uploader := upload.Init(bucket, 4*1024*1024)
	for _, name := range os.Args[6:] {
		f, err := os.Open(name)
		if err != nil {
			log.Fatal(err)
		}
		key := "up/" + filepath.Base(name)
		if _, err := bucket.HeadObject(key, &qs.HeadObjectInput{}); err == nil {
			fmt.Println(key, "is there already")
		} else if e, ok := err.(*errors.QingStorError); ok {
			fmt.Println(key, "is new:", e.StatusCode)
		} else {
			log.Fatal(err)
		}
		if err := uploader.Upload(f, key); err != nil {
			log.Fatal(err)
		}
		f.Close()
		output, err := bucket.GetObject(key, nil)
		if err != nil {
			log.Fatal(err)
		}
		sum := md5.New()
		n, err := io.Copy(sum, output.Body)
		if err != nil {
			log.Fatal(err)
		}
		output.Close()
		fmt.Printf("%s: %d bytes, length %d, MD5 %x\n", key, n, qs.Int64Value(output.ContentLength), sum.Sum(nil))
	}

	uploads, err := bucket.ListMultipartUploads(&qs.ListMultipartUploadsInput{Prefix: qs.String("up/")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(uploads.Uploads), "uploads are unfinished")

	// By hand, with metadata and a condition.
	metadata := map[string]string{"x-qs-meta-colour": "blue"}
	put, err := bucket.PutObject("up/small", &qs.PutObjectInput{
		ContentType: qs.String("text/plain"), XQSMetaData: &metadata, Body: os.Stdin, ContentLength: qs.Int64(5),
	})
	if err != nil {
		log.Fatal(err)
	}
	get, err := bucket.GetObject("up/small", &qs.GetObjectInput{IfNoneMatch: put.ETag})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("unchanged:", qs.IntValue(get.StatusCode))
	get, err = bucket.GetObject("up/small", &qs.GetObjectInput{Range: qs.String("bytes=1-3")})
	if err != nil {
		log.Fatal(err)
	}
	part, _ := io.ReadAll(get.Body)
	get.Close()
	fmt.Printf("%d %s %q %s\n", qs.IntValue(get.StatusCode), qs.StringValue(get.ContentRange), part, qs.StringValue(get.ContentType))
}
