package qsapi

import (
	"crypto/rand"
	"net/http"
	"strconv"

	"github.com/cisternhq/cistern/internal/cistern"
	"github.com/cisternhq/cistern/internal/object"
)

// multipart sends several ranges of o as multipart/byteranges (RFC 9110 §14.6).
func (w *answer) multipart(r *request, o *cistern.Object, ranges []object.Range, size int64) error {
	h := w.Header()
	boundary := rand.Text()
	head := func(i int) string {
		start := "\r\n--"
		if i == 0 {
			start = "--"
		}
		return start + boundary + "\r\nContent-Type: " + h.Get("Content-Type") + "\r\nContent-Range: " + rangeHeader(ranges[i], size) + "\r\n\r\n"
	}
	end := "\r\n--" + boundary + "--\r\n"
	total := int64(len(end))
	heads := make([]string, len(ranges))
	for i, rg := range ranges {
		heads[i] = head(i)
		total += int64(len(heads[i])) + rg.Length
	}
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + boundary}
	h["Content-Length"] = []string{strconv.FormatInt(total, 10)}
	w.begin(http.StatusPartialContent)
	if w.head {
		w.end()
		return nil
	}
	for i, rg := range ranges {
		if _, err := w.Write([]byte(heads[i])); err != nil {
			return err
		}
		if err := w.copy(r, o, rg); err != nil {
			return err
		}
	}
	_, err := w.Write([]byte(end))
	return err
}
