package cistern

import (
	"crypto/rand"

	"github.com/cisternhq/cistern/internal/object"
	"github.com/cisternhq/cistern/internal/seal"
	"github.com/cisternhq/cistern/internal/store"
)

// fits says whether k is the key that opens the object: [object.ErrInvalidRequest] where there is one too many or too few, [object.ErrDenied] for
// another one.
func fits(m *object.Meta, k *seal.Key) error {
	switch e := m.Encryption; {
	case e == nil && k == nil:
		return nil
	case e == nil:
		return notEncrypted()
	case k == nil:
		return object.Explain(object.ErrInvalidRequest, "the object is encrypted with a customer's key; send the key that it was put with")
	case !k.Fits(e):
		return denied("the object is encrypted with another key")
	}
	return nil
}

// notEncrypted refuses a key for an object that needs none: who sends one relies on what is not so.
func notEncrypted() error {
	return object.Explain(object.ErrInvalidRequest, "the object is not encrypted; leave the encryption headers out")
}

// fitsUpload is fits for the parts of an upload of which m says what it will be.
func fitsUpload(m *object.Meta, k *seal.Key) error {
	switch e := m.Encryption; {
	case e == nil && k == nil:
		return nil
	case e == nil:
		return object.Explain(object.ErrInvalidRequest, "the upload was begun without an encryption key, so its parts have none either")
	case k == nil:
		return object.Explain(object.ErrInvalidRequest, "the upload was begun with a customer's key; send the same one with every part")
	case !k.Fits(e):
		return denied("the upload was begun with another encryption key")
	}
	return nil
}

// randomETag returns an entity tag that says nothing of the bytes. Nobody takes it for an MD5.
func randomETag() string { return `"` + rand.Text() + `"` }

// unlock makes the bytes of o the plain ones. After an error o is still to be closed.
func unlock(o *store.Object, k *seal.Key) error {
	if err := fits(&o.Meta, k); err != nil || k == nil {
		return err
	}
	return o.Wrap(func(b store.Body, size int64) (store.Body, error) { return k.Open(o.Meta.Encryption, b, size) })
}
