package image

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cisternhq/cistern/internal/object"
)

const (
	// MaxOps is how many operations an action may have (QingStor API, "Image Process").
	MaxOps = 10
	// maxAction is the longest action, in bytes.
	maxAction = 8 << 10
	// maxSide is the longest side of a picture, in pixels: a JPEG has no longer one.
	maxSide = 65535
	// maxText is the longest text of a watermark, in characters.
	maxText = 256
	// maxURL is the longest address of a watermark's picture, in bytes.
	maxURL = 2048
)

// Action is what is to be done with a picture: operations, one after the other. The zero value does nothing.
type Action struct {
	ops  []operation
	text string
}

// Save is the request to keep the picture as it is at that place of an action.
type Save struct{ Bucket, Key string }

// Parse reads an action: OPERATION[:K_V[,K_V...]][|OPERATION...] (QingStor API, "Image Process"). The error matches
// [object.ErrInvalidArgument]; its text names the operation and the parameter.
func Parse(action string) (Action, error) {
	switch {
	case action == "":
		return Action{}, refuse("it is empty; write one such as resize:w_300")
	case len(action) > maxAction:
		return Action{}, refuse("it has %d bytes; at most %d are allowed", len(action), maxAction)
	}
	pieces := strings.Split(action, "|")
	if len(pieces) > MaxOps {
		return Action{}, refuse("it has %d operations; at most %d are allowed", len(pieces), MaxOps)
	}
	a := Action{text: action}
	for i, piece := range pieces {
		op, err := parseOperation(piece)
		if err != "" {
			name, _, _ := strings.Cut(piece, ":")
			return Action{}, refuse("operation %d (%s): %s", i+1, strconv.QuoteToASCII(clip(name)), err)
		}
		if _, ok := op.(info); ok && i < len(pieces)-1 {
			return Action{}, refuse("operation %d (\"info\"): nothing may follow it: its result is no picture", i+1)
		}
		a.ops = append(a.ops, op)
	}
	return a, nil
}

func refuse(format string, args ...any) error {
	return object.Explain(object.ErrInvalidArgument, "action: "+format, args...)
}

// clip bounds what is repeated of a request in a message.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// String is the action as it was written.
func (a Action) String() string { return a.text }

// Marks are the addresses of the pictures that the action draws, one for each watermark_image in it.
func (a Action) Marks() []string {
	var urls []string
	for _, op := range a.ops {
		if m, ok := op.(markImage); ok {
			urls = append(urls, m.url)
		}
	}
	return urls
}

// Saves are the places where the action keeps its results.
func (a Action) Saves() []Save {
	var saves []Save
	for _, op := range a.ops {
		if s, ok := op.(save); ok {
			saves = append(saves, s.to)
		}
	}
	return saves
}

// The operations. A number that was left out is 0 where 0 is no value of its own.
type (
	info struct{}
	crop struct {
		width, height int
		gravity       gravity
		at            bool // left and top say where, not gravity
		left, top     int
	}
	rotate struct{ quarters int }
	resize struct {
		width, height int
		mode          resizeMode
	}
	markText struct {
		text    string
		dpi     int
		opacity float64
		colour  [3]uint8
	}
	markImage struct {
		url       string
		left, top int
		opacity   float64
	}
	format struct{ to Format }
	save   struct{ to Save }
)

// gravity says where a crop lies.
type gravity int

const (
	center gravity = iota
	north
	east
	south
	west
	northWest
	northEast
	southWest
	southEast
	auto
)

// resizeMode says what becomes of a picture whose shape is not the one asked for.
type resizeMode int

const (
	pad       resizeMode = iota // it is padded
	force                       // it is stretched
	thumbnail                   // it stays smaller on one side
)

const (
	defaultDPI     = 150
	defaultOpacity = 0.25
	maxDPI         = 7200
)

func parseOperation(piece string) (operation, string) {
	name, rest, _ := strings.Cut(piece, ":")
	ps, err := parseParams(rest)
	if err != "" {
		return nil, err
	}
	var op operation
	switch name {
	case "info":
		op = info{}
	case "crop":
		c := crop{width: ps.number("w", 0, 1, maxSide), height: ps.number("h", 0, 1, maxSide), gravity: gravity(ps.number("g", 0, 0, int(auto)))}
		c.at = ps.has("l") || ps.has("t")
		if c.at && ps.has("g") {
			ps.fail("g", "it cannot be there together with l or t")
		}
		c.left, c.top = ps.number("l", 0, 0, maxSide), ps.number("t", 0, 0, maxSide)
		op = c
	case "rotate":
		ps.need("a")
		angle := ps.number("a", 0, 0, 270)
		if angle%90 != 0 {
			ps.fail("a", "%d is not 0, 90, 180 or 270", angle)
		}
		op = rotate{angle / 90}
	case "resize":
		op = resize{ps.number("w", 0, 1, maxSide), ps.number("h", 0, 1, maxSide), resizeMode(ps.number("m", 0, 0, int(thumbnail)))}
	case "watermark":
		ps.need("t")
		op = markText{ps.text("t"), ps.number("d", defaultDPI, 1, maxDPI), ps.opacity("p"), ps.colour("c")}
	case "watermark_image":
		ps.need("u")
		op = markImage{ps.url("u"), ps.number("l", 0, 0, maxSide), ps.number("t", 0, 0, maxSide), ps.opacity("p")}
	case "format":
		ps.need("t")
		op = format{ps.format("t")}
	case "save":
		ps.need("b")
		ps.need("k")
		op = save{ps.place()}
	default:
		return nil, "there is no such operation; there are info, crop, rotate, resize, watermark, watermark_image, format and save"
	}
	return op, ps.end()
}

// params are the parameters of one operation while they are read. The first thing that is wrong is kept.
type params struct {
	values map[string]string // those with a value
	taken  string            // the names that the operation knows, each one letter
	bad    string
}

func parseParams(s string) (*params, string) {
	ps := &params{values: map[string]string{}}
	if s == "" {
		return ps, ""
	}
	for pair := range strings.SplitSeq(s, ",") {
		k, v, ok := strings.Cut(pair, "_")
		if !ok || k == "" {
			return nil, fmt.Sprintf("%s is not of the form k_v", strconv.QuoteToASCII(clip(pair)))
		}
		if _, again := ps.values[k]; again {
			return nil, fmt.Sprintf("the parameter %s is there more than once", strconv.QuoteToASCII(clip(k)))
		}
		ps.values[k] = v
	}
	return ps, ""
}

func (ps *params) fail(name, format string, args ...any) {
	if ps.bad == "" {
		ps.bad = "the parameter " + name + ": " + fmt.Sprintf(format, args...)
	}
}

// get returns a value; "" is as good as none, because clients send names without values for what they leave out.
func (ps *params) get(name string) string {
	if !strings.Contains(ps.taken, name) {
		ps.taken += name
	}
	return ps.values[name]
}

func (ps *params) has(name string) bool { return ps.get(name) != "" }

func (ps *params) need(name string) {
	if !ps.has(name) {
		ps.fail(name, "it is needed")
	}
}

// end says what was wrong, "" for nothing.
func (ps *params) end() string {
	if ps.bad != "" {
		return ps.bad
	}
	for name := range ps.values {
		if len(name) != 1 || !strings.Contains(ps.taken, name) {
			knows := "knows none"
			if ps.taken != "" {
				knows = "knows " + strings.Join(strings.Split(ps.taken, ""), ", ")
			}
			return fmt.Sprintf("the parameter %s is not known; this operation %s", strconv.QuoteToASCII(clip(name)), knows)
		}
	}
	return ""
}

func (ps *params) number(name string, missing, low, high int) int {
	v := ps.get(name)
	if v == "" {
		return missing
	}
	n, ok := 0, len(v) <= 9
	for i := 0; ok && i < len(v); i++ {
		if ok = v[i] >= '0' && v[i] <= '9'; ok {
			n = n*10 + int(v[i]-'0')
		}
	}
	if !ok || n < low || n > high {
		ps.fail(name, "%s is not a whole number from %d to %d", strconv.QuoteToASCII(clip(v)), low, high)
		return missing
	}
	return n
}

// opacity reads a number in (0, 1]. One above 1 counts as 1: the API's own examples have p_2.
func (ps *params) opacity(name string) float64 {
	v := ps.get(name)
	if v == "" {
		return defaultOpacity
	}
	p, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(p) || p <= 0 || strings.ContainsAny(v, "xXnNiI") {
		ps.fail(name, "%s is not a number above 0, up to 1", strconv.QuoteToASCII(clip(v)))
		return defaultOpacity
	}
	return min(p, 1)
}

// base64 reads what was encoded with either alphabet, with padding or without: clients do all four. A "+" may have become a blank on
// its way through a query.
func (ps *params) base64(name string) string {
	v := strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(strings.TrimRight(ps.get(name), "="))
	b, err := base64.RawStdEncoding.DecodeString(v)
	if err != nil || strings.ContainsAny(v, "\r\n") {
		ps.fail(name, "it is not base64")
		return ""
	}
	if !utf8.Valid(b) {
		ps.fail(name, "it is not UTF-8 within its base64")
		return ""
	}
	return string(b)
}

func (ps *params) text(name string) string {
	s := ps.base64(name)
	switch n := utf8.RuneCountInString(s); {
	case n > maxText:
		ps.fail(name, "the text has %d characters; at most %d are allowed", n, maxText)
	case strings.ContainsFunc(s, unicode.IsControl):
		ps.fail(name, "the text holds a control character, or a line break")
	case n > 0 && strings.TrimSpace(s) == "":
		ps.fail(name, "the text is blank")
	}
	return s
}

func (ps *params) colour(name string) (rgb [3]uint8) {
	s := ps.base64(name)
	if s == "" {
		return rgb
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 || s[0] != '#' {
		ps.fail(name, "it is not #rrggbb within its base64")
		return rgb
	}
	return [3]uint8{uint8(n >> 16), uint8(n >> 8), uint8(n)}
}

func (ps *params) url(name string) string {
	s := ps.base64(name)
	switch {
	case len(s) > maxURL:
		ps.fail(name, "the address has %d bytes; at most %d are allowed", len(s), maxURL)
	case s != "" && !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://"):
		ps.fail(name, "the address within its base64 does not begin with http:// or https://")
	}
	return s
}

func (ps *params) format(name string) Format {
	v := ps.get(name)
	switch f := Format(v); f {
	case JPEG, PNG, WebP, TIFF:
		return f
	}
	if v != "" {
		ps.fail(name, "%s is not jpeg, png, webp or tiff", strconv.QuoteToASCII(clip(v)))
	}
	return ""
}

func (ps *params) place() Save {
	s := Save{Bucket: ps.get("b"), Key: ps.get("k")}
	if err := object.CheckBucket(s.Bucket); err != nil && s.Bucket != "" {
		ps.fail("b", "%s", err)
	}
	if err := object.CheckKey(s.Key); err != nil && s.Key != "" {
		ps.fail("k", "%s", err)
	}
	return s
}
