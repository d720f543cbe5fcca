// Package image puts together what Image Process is to do with an image.
//
// It knows the operations of the API's page "Image Process", with their parameters, and sends them by package service. It touches no pixels.
package image

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/service"
)

// What stands between the parts of an action.
const (
	ActionSep = ":" // the operation's name | its parameters
	OPSep     = "|" // operations
	KVSep     = "_" // a parameter's name | its value
	KVPairSep = "," // parameters
)

// The names of the operations.
const (
	InfoOperation           string = "info"
	CropOperation           string = "crop"
	FormatOperation         string = "format"
	ResizeOperation         string = "resize"
	RotateOperation         string = "rotate"
	WaterMarkOperation      string = "watermark"
	WaterMarkImageOperation string = "watermark_image"
)

// Image is an image with the operations that were called on it so far. It is not safe for concurrent use.
type Image struct {
	bucket  *service.Bucket
	key     string
	actions []string
}

// Init returns the image of that key in bucket, with no operations yet. It sends nothing.
func Init(bucket *service.Bucket, objectKey string) *Image {
	return &Image{bucket: bucket, key: objectKey}
}

// Info adds the operation that answers what the image is, as JSON. Its result is no image, so that it stands last.
func (image *Image) Info() *Image { return image.add(InfoOperation, nil) }

// CropGravity is where what is cut out stands in the image.
type CropGravity int

// The values of CropGravity. CropAuto leaves the choice to the server.
const (
	CropCenter CropGravity = iota
	CropNorth
	CropEast
	CropSouth
	CropWest
	CropNorthWest
	CropNorthEast
	CropSouthWest
	CropSouthEast
	CropAuto
)

// CropParam is what is cut out.
type CropParam struct {
	// Width and Height are in pixels. 0 means the image's own.
	Width  int `schema:"w,omitempty"`
	Height int `schema:"h,omitempty"`
	// Gravity is where. 0 means the centre.
	Gravity CropGravity `schema:"g"`
}

// Crop adds the operation that cuts a rectangle out.
func (image *Image) Crop(param *CropParam) *Image { return image.add(CropOperation, param) }

// RotateParam is by how much the image is turned.
type RotateParam struct {
	Angle int `schema:"a"` // 0, 90, 180 or 270 degrees, clockwise
}

// Rotate adds the operation that turns the image.
func (image *Image) Rotate(param *RotateParam) *Image { return image.add(RotateOperation, param) }

// ResizeMode is what becomes of an image whose sides are in another ratio than the size asked for.
type ResizeMode int

// The values of ResizeMode.
const (
	ResizeFixed     ResizeMode = iota // padded to the size asked for
	ResizeForce                       // stretched to the size asked for
	ResizeThumbnail                   // as large as fits into the size asked for
)

// ResizeParam is the new size.
type ResizeParam struct {
	// Width and Height are in pixels. 0 means as the other one asks for.
	Width  int `schema:"w,omitempty"`
	Height int `schema:"h,omitempty"`
	// Mode is how. 0 means ResizeFixed.
	Mode ResizeMode `schema:"m"`
}

// Resize adds the operation that changes the image's size.
func (image *Image) Resize(param *ResizeParam) *Image { return image.add(ResizeOperation, param) }

// WaterMarkParam is a text on the image.
type WaterMarkParam struct {
	Dpi     int     `schema:"d,omitempty"` // its size; 0 means 150
	Opacity float64 `schema:"p,omitempty"` // above 0, up to 1; 0 means 0.25
	Text    string  `schema:"t"`           // Base64 of the text, without "="
	Color   string  `schema:"c"`           // Base64 of "#rrggbb", without "="
}

// WaterMark adds the operation that writes a text on the image.
func (image *Image) WaterMark(param *WaterMarkParam) *Image {
	return image.add(WaterMarkOperation, param)
}

// WaterMarkImageParam is an image on the image.
type WaterMarkImageParam struct {
	Left    int     `schema:"l"`           // pixels
	Top     int     `schema:"t"`           // pixels
	Opacity float64 `schema:"p,omitempty"` // above 0, up to 1; 0 means 0.25
	URL     string  `schema:"u"`           // Base64 of the other image's URL, without "="
}

// WaterMarkImage adds the operation that puts another image on the image.
func (image *Image) WaterMarkImage(param *WaterMarkImageParam) *Image {
	return image.add(WaterMarkImageOperation, param)
}

// FormatParam is the new format.
type FormatParam struct {
	Type string `schema:"t"` // jpeg, png, webp or tiff
}

// Format adds the operation that changes the image's format.
func (image *Image) Format(param *FormatParam) *Image { return image.add(FormatOperation, param) }

// Process has the server do what was added, in that order, and forgets it, so that the image can be used for something else. The caller closes
// the output. It fails if nothing was added, and as service.Bucket's ImageProcess does.
func (image *Image) Process() (*service.ImageProcessOutput, error) {
	return image.ProcessWithContext(context.Background())
}

// ProcessWithContext is Process within ctx, where nil means context.Background. QingStor's SDK lacks it.
func (image *Image) ProcessWithContext(ctx context.Context) (*service.ImageProcessOutput, error) {
	action := strings.Join(image.actions, OPSep)
	image.actions = nil
	if action == "" {
		return nil, errors.New("no operation was added to the image")
	}
	return image.bucket.ImageProcessWithContext(ctx, image.key, &service.ImageProcessInput{Action: &action})
}

// add appends an operation. param is nil, or a pointer to a struct whose tags name the parameters; a nil pointer is an operation without any.
func (image *Image) add(operation string, param any) *Image {
	var pairs []string
	if v := reflect.Indirect(reflect.ValueOf(param)); v.IsValid() {
		for i := range v.NumField() {
			name, omit, _ := strings.Cut(v.Type().Field(i).Tag.Get("schema"), ",")
			if omit == "omitempty" && v.Field(i).IsZero() {
				continue
			}
			pairs = append(pairs, name+KVSep+text(v.Field(i)))
		}
	}
	if len(pairs) > 0 {
		operation += ActionSep + strings.Join(pairs, KVPairSep)
	}
	image.actions = append(image.actions, operation)
	return image
}

func text(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return v.String()
}
