package qsapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/service"
)

// getCORS answers GET B?cors (QingStor API, "GET Bucket CORS").
func (a *API) getCORS(w *answer, r *request) error {
	c, err := a.core.CORS(r.Context(), r.caller, r.target.bucket)
	if err != nil {
		return err
	}
	out := service.GetBucketCORSOutput{CORSRules: []*service.CORSRuleType{}}
	if c.Vary != "" {
		out.RespVary = &c.Vary
	}
	for i := range c.Rules {
		rule := &c.Rules[i]
		out.CORSRules = append(out.CORSRules, &service.CORSRuleType{
			AllowedOrigin: &rule.Origin, AllowedMethods: pointers(rule.Methods), AllowedHeaders: pointers(rule.Headers),
			ExposeHeaders: pointers(rule.Expose), MaxAgeSeconds: rule.MaxAge,
		})
	}
	return w.render(http.StatusOK, &out)
}

// putCORS answers PUT B?cors (QingStor API, "PUT Bucket CORS").
func (a *API) putCORS(w *answer, r *request) error {
	if r.caller.Anonymous() {
		return object.ErrDenied // before the body is read
	}
	var in service.PutBucketCORSInput
	if err := r.decode(&in); err != nil {
		return err
	}
	if in.CORSRules == nil {
		return fail(http.StatusBadRequest, "invalid_argument", "The body lacks the member cors_rules, a list.")
	}
	c := cistern.CORS{Rules: make([]cistern.CORSRule, 0, len(in.CORSRules)), Vary: value(in.RespVary)}
	for _, rule := range in.CORSRules {
		c.Rules = append(c.Rules, cistern.CORSRule{
			Origin: value(rule.AllowedOrigin), Methods: values(rule.AllowedMethods), Headers: values(rule.AllowedHeaders),
			Expose: values(rule.ExposeHeaders), MaxAge: rule.MaxAgeSeconds,
		})
	}
	if err := a.core.SetCORS(r.Context(), r.caller, r.target.bucket, c); err != nil {
		return err
	}
	return w.empty(http.StatusOK)
}

// deleteCORS answers DELETE B?cors (QingStor API, "DELETE Bucket CORS"), also where there is none.
func (a *API) deleteCORS(w *answer, r *request) error {
	if err := a.core.RemoveCORS(r.Context(), r.caller, r.target.bucket); err != nil {
		return err
	}
	return w.empty(http.StatusNoContent)
}

func pointers(list []string) []*string {
	var out []*string
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

func values(list []*string) []string {
	var out []string
	for _, s := range list {
		out = append(out, value(s))
	}
	return out
}

// optionsObject answers OPTIONS O (QingStor API, "OPTIONS Object"): whether a page of another origin may make a request. A browser asks that of a bucket,
// too, as its page may list it or post a form to it. There is nothing to be had for the answer, so everybody may ask, and a browser does so without
// the page's credentials. A bucket that does not let the page answers 200 without the header fields, as documented.
func (a *API) optionsObject(w *answer, r *request) error {
	x := cistern.Crossing{Origin: r.Header.Get("Origin"), Method: r.Header.Get("Access-Control-Request-Method")}
	for _, need := range []struct{ name, value string }{{"Origin", x.Origin}, {"Access-Control-Request-Method", x.Method}} {
		if need.value == "" {
			return fail(http.StatusBadRequest, "invalid_argument", "An OPTIONS request needs the header %s.", need.name)
		}
	}
	asked := strings.Join(r.Header["Access-Control-Request-Headers"], ",")
	for name := range strings.SplitSeq(asked, ",") {
		if name = strings.TrimSpace(name); name != "" {
			x.Headers = append(x.Headers, name)
		}
	}
	to, err := a.core.Cross(r.Context(), r.target.bucket, x)
	if err != nil {
		return err
	}
	h := w.Header()
	if to.Vary {
		h["Vary"] = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	}
	if to.Origin == "" {
		return w.empty(http.StatusOK)
	}
	h["Access-Control-Allow-Origin"] = []string{to.Origin}
	h["Access-Control-Allow-Methods"] = []string{strings.Join(to.Methods, ", ")}
	if len(x.Headers) > 0 {
		h["Access-Control-Allow-Headers"] = []string{strings.Join(x.Headers, ", ")}
	}
	if len(to.Expose) > 0 {
		h["Access-Control-Expose-Headers"] = []string{strings.Join(to.Expose, ", ")}
	}
	if to.MaxAge != nil {
		h["Access-Control-Max-Age"] = []string{strconv.Itoa(*to.MaxAge)}
	}
	return w.empty(http.StatusOK)
}

// cross puts on the answer, whatever it will be, that a page of another origin may see it. A browser that is not told so shows its page nothing, not
// even an error. What cannot be found out here, the operation itself will run into.
func (a *API) cross(w *answer, r *request) {
	origin := r.Header.Get("Origin")
	if origin == "" || r.target.bucket == "" || r.Method == http.MethodOptions {
		return
	}
	to, err := a.core.Cross(r.Context(), r.target.bucket, cistern.Crossing{Origin: origin, Method: r.Method})
	if err != nil {
		return
	}
	if to.Vary {
		w.lasting("Vary", "Origin")
	}
	if to.Origin == "" {
		return
	}
	w.lasting("Access-Control-Allow-Origin", to.Origin)
	if len(to.Expose) > 0 {
		w.lasting("Access-Control-Expose-Headers", strings.Join(to.Expose, ", "))
	}
}
