package image

import (
	"context"
	"encoding/json"
)

// infoDocument is the result of info (QingStor API, "Image Process", info). What a picture has not is left out.
type infoDocument struct {
	Width           int    `json:"width"`
	Height          int    `json:"height"`
	Orientation     int    `json:"orientation"`
	Alpha           bool   `json:"alpha"`
	Type            Format `json:"type"`
	Space           string `json:"space"`
	Make            string `json:"make,omitempty"`
	Model           string `json:"model,omitempty"`
	DateTime        string `json:"datetime,omitempty"`
	ExifVersion     string `json:"exifversion,omitempty"`
	FocalLength     string `json:"focallength,omitempty"`
	GPSLatitudeRef  string `json:"gpslatituderef,omitempty"`
	GPSLatitude     string `json:"gpslatitude,omitempty"`
	GPSLongitudeRef string `json:"gpslongituderef,omitempty"`
	GPSLongitude    string `json:"gpslongitude,omitempty"`
	GPSAltitudeRef  string `json:"gpsaltituderef,omitempty"`
	GPSAltitude     string `json:"gpsaltitude,omitempty"`
}

// apply describes the picture as it is by now: the file itself at the beginning of an action, the result at its end.
func (info) apply(_ context.Context, r *run) error {
	p := &r.pic
	d := infoDocument{Type: p.format, Orientation: 1} // 1: it stands upright, which is also what nothing said means
	if p.raw != nil {
		h := &p.header
		d.Width, d.Height, d.Alpha, d.Space = h.size.X, h.size.Y, h.alpha, h.space
		d.Orientation = max(1, h.exif.orientation)
		d.Make, d.Model, d.DateTime, d.ExifVersion, d.FocalLength = h.exif.maker, h.exif.model, h.exif.datetime, h.exif.version, h.exif.focalLength
		d.GPSLatitudeRef, d.GPSLatitude, d.GPSLongitudeRef = h.exif.latitudeRef, h.exif.latitude, h.exif.longitudeRef
		d.GPSLongitude, d.GPSAltitudeRef, d.GPSAltitude = h.exif.longitude, h.exif.altitudeRef, h.exif.altitude
	} else {
		size := p.size()
		d.Width, d.Height, d.Space = size.X, size.Y, "srgb"
		d.Alpha = p.format != JPEG && p.header.alpha
	}
	doc, err := json.Marshal(d)
	if err != nil {
		return err
	}
	r.result = &Picture{Body: doc, Type: "application/json"}
	return nil
}
