package node_test

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cisternhq/cistern/internal/cisterntest"
	"github.com/cisternhq/cistern/service"
)

// A small object, which lies in the database, and a large one, which lies in a file: of neither is anything on the disk that could be
// read without the key, nor the key.
func TestEncryptedAtRest(t *testing.T) {
	dir := t.TempDir()
	raw := make([]byte, 32)
	rand.Read(raw)
	sum := md5.Sum(raw)
	algorithm, key, keyMD5 := "AES256", base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(sum[:])
	small := "a small secret, " + strings.Repeat("which nobody may read; ", 20)
	large := strings.Repeat("a large secret, which lies in a file; ", 10_000)
	texts := map[string]string{"small": small, "large": large}

	s := cisterntest.Start(t, cisterntest.OnDisk(dir))
	b := s.Bucket("demo")
	if _, err := b.Put(); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		_, err := b.PutObject(name, &service.PutObjectInput{
			Body: strings.NewReader(text), XQSEncryptionCustomerAlgorithm: &algorithm, XQSEncryptionCustomerKey: &key, XQSEncryptionCustomerKeyMD5: &keyMD5,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	plain := strings.Repeat("this one is not encrypted; ", 2_000)
	if _, err := b.PutObject("plain", &service.PutObjectInput{Body: strings.NewReader(plain)}); err != nil {
		t.Fatal(err)
	}
	log := s.Log()
	s.Stop(5 * time.Second)

	secrets := map[string][]byte{"the key": raw, "the key in base64": []byte(key), "the key in hex": []byte(hex.EncodeToString(raw))}
	for name, text := range texts {
		sum := md5.Sum([]byte(text))
		secrets["the text of "+name] = []byte(text[:24])
		secrets["the MD5 of "+name] = sum[:]
		secrets["the MD5 in hex of "+name] = []byte(hex.EncodeToString(sum[:]))
	}
	readable := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		on, err := os.ReadFile(path)
		readable = readable || bytes.Contains(on, []byte(plain))
		for name, secret := range secrets {
			if bytes.Contains(on, secret) {
				t.Errorf("%s holds %s", path, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !readable {
		t.Error("what is not encrypted was not found either: this test looks in the wrong place")
	}
	if strings.Contains(log, key) {
		t.Error("the log holds the key")
	}

	again := cisterntest.Start(t, cisterntest.OnDisk(dir))
	for name, text := range texts {
		out, err := again.Bucket("demo").GetObject(name, &service.GetObjectInput{
			XQSEncryptionCustomerAlgorithm: &algorithm, XQSEncryptionCustomerKey: &key, XQSEncryptionCustomerKeyMD5: &keyMD5,
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(out.Body)
		out.Body.Close()
		if err != nil || string(got) != text {
			t.Errorf("after a restart %s has %d bytes, %v, want the %d that were put", name, len(got), err, len(text))
		}
	}
}

// What is altered on the disk is never given out, and no clean end is made of it.
func TestEncryptedBodyIsAltered(t *testing.T) {
	dir := t.TempDir()
	raw := bytes.Repeat([]byte("k"), 32)
	sum := md5.Sum(raw)
	algorithm, key, keyMD5 := "AES256", base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(sum[:])
	text := strings.Repeat("0123456789abcdef", 50_000)
	s := cisterntest.Start(t, cisterntest.OnDisk(dir))
	b := s.Bucket("demo")
	if _, err := b.Put(); err != nil {
		t.Fatal(err)
	}
	_, err := b.PutObject("k", &service.PutObjectInput{
		Body: strings.NewReader(text), XQSEncryptionCustomerAlgorithm: &algorithm, XQSEncryptionCustomerKey: &key, XQSEncryptionCustomerKeyMD5: &keyMD5,
	})
	if err != nil {
		t.Fatal(err)
	}
	altered := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		on, err := os.ReadFile(path)
		if err != nil || len(on) < len(text) || len(on) > len(text)+10_000 {
			return err
		}
		altered++
		on[500_000] ^= 1
		return os.WriteFile(path, on, 0o600)
	})
	if err != nil || altered != 1 {
		t.Fatalf("%d files were altered, %v, want that of the object", altered, err)
	}
	out, err := b.GetObject("k", &service.GetObjectInput{
		XQSEncryptionCustomerAlgorithm: &algorithm, XQSEncryptionCustomerKey: &key, XQSEncryptionCustomerKeyMD5: &keyMD5,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err == nil || len(got) > 500_000 || !strings.HasPrefix(text, string(got)) {
		t.Errorf("%d bytes, %v, want those before the altered one at most, and a broken connection", len(got), err)
	}
}
