package builder_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/cisternhq/cistern/config"
	"github.com/cisternhq/cistern/request/builder"
	"github.com/cisternhq/cistern/request/data"
	"github.com/cisternhq/cistern/request/response"
)

type (
	properties struct {
		BucketName *string `name:"bucket-name"`
	}
	input struct {
		Prefix *string `name:"prefix" location:"query"`
	}
	output struct {
		StatusCode *int    `location:"statusCode"`
		Name       *string `name:"name" location:"elements"`
	}
)

// A program that builds, sends and reads by itself.
func TestBuildAndUnpack(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/mybucket?prefix=a+b" || r.Header.Get("Authorization") != "" {
			t.Errorf("request = %s %s, signed by %q", r.Method, r.RequestURI, r.Header.Get("Authorization"))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"name":"mybucket"}`)
	}))
	t.Cleanup(srv.Close)
	t.Setenv(config.EnvEndpoint, srv.URL)
	c, err := config.New("", "")
	if err != nil {
		t.Fatal(err)
	}
	name, prefix := "mybucket", "a b"
	o := &data.Operation{Config: c, Properties: &properties{&name}, APIName: "List", RequestMethod: "GET", RequestURI: "/<bucket-name>", StatusCodes: []int{200}}
	in := reflect.ValueOf(&input{&prefix})
	r, err := new(builder.Builder).BuildHTTPRequest(t.Context(), o, &in)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var got output
	out := reflect.ValueOf(&got)
	if err := response.UnpackToOutputWithContext(t.Context(), o, resp, &out); err != nil || got.Name == nil || *got.Name != "mybucket" || *got.StatusCode != 200 {
		t.Errorf("UnpackToOutput = %+v, %v; want the name and status 200", got, err)
	}
	if _, err := new(builder.Builder).BuildHTTPRequest(t.Context(), o, nil); err != nil {
		t.Errorf("without input: %v", err)
	}
	if _, err := new(builder.Builder).BuildHTTPRequest(t.Context(), &data.Operation{}, nil); err == nil {
		t.Error("without a configuration = nil, want an error")
	}
	resp, err = srv.Client().Get(srv.URL + "/mybucket?prefix=a+b")
	if err != nil {
		t.Fatal(err)
	}
	if err := response.UnpackToOutputWithContext(t.Context(), o, resp, nil); err != nil {
		t.Errorf("without an output: %v", err)
	}
}
