// Command clean fills a bucket, lists it as folders and as a whole, hands out a link, then deletes everything.
//
//	clean HOST PORT KEY SECRET BUCKET
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/qingstor/qingstor-sdk-go/v4/config"
	iface "github.com/qingstor/qingstor-sdk-go/v4/interface"
	"github.com/qingstor/qingstor-sdk-go/v4/request"
	"github.com/qingstor/qingstor-sdk-go/v4/request/errors"
	qs "github.com/qingstor/qingstor-sdk-go/v4/service"
)

var _ iface.Bucket = (*qs.Bucket)(nil)

func main() {
	log.SetFlags(0)
	conf, err := config.New(os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	conf.Protocol, conf.Host = "http", os.Args[1]
	conf.Port, _ = strconv.Atoi(os.Args[2])
	conf.AdditionalUserAgent = "clean/1.0"
	if err := conf.Check(); err != nil {
		log.Fatal(err)
	}
	service, _ := qs.Init(conf)
	bucket, _ := service.Bucket(os.Args[5], "")
	if _, err := bucket.Put(); err != nil {
		log.Fatal(err)
	}
	if _, err := bucket.PutACL(&qs.PutBucketACLInput{ACL: []*qs.ACLType{{
		Grantee: &qs.GranteeType{Type: qs.String("group"), Name: qs.String("QS_ALL_USERS")}, Permission: qs.String("READ"),
	}}}); err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"a.txt", "dir/b (1).txt", "dir/中文.txt", "dir/sub/c+d.txt", "z"} {
		if _, err := bucket.PutObject(key, &qs.PutObjectInput{Body: strings.NewReader("content of " + key)}); err != nil {
			log.Fatal(err)
		}
	}

	folders, err := bucket.ListObjects(&qs.ListObjectsInput{Delimiter: qs.String("/")})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range folders.CommonPrefixes {
		fmt.Println("folder", *p)
	}
	var keys []*qs.KeyType
	marker := ""
	for {
		page, err := bucket.ListObjects(&qs.ListObjectsInput{Limit: qs.Int(2), Marker: qs.String(marker)})
		if err != nil {
			log.Fatal(err)
		}
		for _, k := range page.Keys {
			fmt.Println(qs.StringValue(k.Key), qs.Int64Value(k.Size), len(qs.StringValue(k.Etag)), qs.StringValue(k.MimeType))
			keys = append(keys, &qs.KeyType{Key: k.Key})
		}
		if marker = qs.StringValue(page.NextMarker); marker == "" {
			break
		}
	}

	// A link that a browser may follow.
	var r *request.Request
	r, _, err = bucket.GetObjectRequest("dir/b (1).txt", &qs.GetObjectInput{ResponseContentType: qs.String("text/x-special")})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Build(); err != nil {
		log.Fatal(err)
	}
	if err := r.SignQuery(60); err != nil {
		log.Fatal(err)
	}
	resp, err := http.Get(r.HTTPRequest.URL.String())
	if err != nil {
		log.Fatal(err)
	}
	content, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	fmt.Printf("link: %d %s %q\n", resp.StatusCode, resp.Header.Get("Content-Type"), content)

	if _, err := bucket.PutObject("copy", &qs.PutObjectInput{XQSCopySource: qs.String("/" + os.Args[5] + "/z")}); err != nil {
		log.Fatal(err)
	}
	keys = append(keys, &qs.KeyType{Key: qs.String("copy")}, &qs.KeyType{Key: qs.String("never there")})

	_, err = bucket.Delete()
	if e, ok := err.(*errors.QingStorError); ok {
		fmt.Println("delete:", e.StatusCode, e.Code)
	}
	output, err := bucket.DeleteMultipleObjects(&qs.DeleteMultipleObjectsInput{Objects: keys})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(output.Deleted), "deleted,", len(output.Errors), "failed")
	statistics, err := bucket.GetStatistics()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("left:", qs.Int64Value(statistics.Count), qs.Int64Value(statistics.Size))
	deleted, err := bucket.Delete()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("delete:", qs.IntValue(deleted.StatusCode))
	_, err = bucket.Head()
	if e, ok := err.(*errors.QingStorError); ok {
		fmt.Println("head:", e.StatusCode)
	}
}
