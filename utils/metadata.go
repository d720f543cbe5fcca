package utils

import (
	"strconv"
	"strings"

	"github.com/cisternhq/cistern/request/errors"
)

// The API's limits of user metadata, in bytes (QingStor API, "Metadata").
const (
	metadataPrefix  = "x-qs-meta-"
	maxMetadataKey  = 512
	maxMetadataSize = 2048
)

// IsMetaDataValid checks user metadata by the API's rules (QingStor API, "Metadata"). Names begin with "x-qs-meta-", in any case; behind
// it they have 1 to 512 bytes of letters, digits, "-", "_" and ".". Values are printable ASCII. Names without the prefix and values have 2,048 bytes at most
// together. nil is valid. It fails with an errors.ParameterValueNotAllowedError.
func IsMetaDataValid(XQSMetaData *map[string]string) error {
	if XQSMetaData == nil {
		return nil
	}
	size := 0
	for name, value := range *XQSMetaData {
		fail := func(allowed string) error {
			return errors.ParameterValueNotAllowedError{ParameterName: "XQSMetaData", ParameterValue: name + ": " + value, AllowedValues: []string{allowed}}
		}
		if len(name) <= len(metadataPrefix) || !strings.EqualFold(name[:len(metadataPrefix)], metadataPrefix) {
			return fail("a name that begins with " + metadataPrefix)
		}
		key := name[len(metadataPrefix):]
		for i := range len(key) {
			if c := key[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
				return fail(`a name of letters, digits, "-", "_" and "."`)
			}
		}
		if len(key) > maxMetadataKey {
			return fail("a name of at most " + strconv.Itoa(maxMetadataKey) + " bytes behind " + metadataPrefix)
		}
		for i := range len(value) {
			if value[i] < ' ' || value[i] > '~' {
				return fail("a value of printable ASCII")
			}
		}
		size += len(key) + len(value)
	}
	if size > maxMetadataSize {
		return errors.ParameterValueNotAllowedError{ParameterName: "XQSMetaData", ParameterValue: strconv.Itoa(size) + " bytes",
			AllowedValues: []string{"at most " + strconv.Itoa(maxMetadataSize) + " bytes"}}
	}
	return nil
}
