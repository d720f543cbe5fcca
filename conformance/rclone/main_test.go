package rclone

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	_ "github.com/rclone/rclone/backend/local"
	_ "github.com/rclone/rclone/backend/qingstor"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/cat"
	_ "github.com/rclone/rclone/cmd/check"
	_ "github.com/rclone/rclone/cmd/cleanup"
	_ "github.com/rclone/rclone/cmd/copy"
	_ "github.com/rclone/rclone/cmd/copyto"
	_ "github.com/rclone/rclone/cmd/delete"
	_ "github.com/rclone/rclone/cmd/deletefile"
	_ "github.com/rclone/rclone/cmd/hashsum"
	_ "github.com/rclone/rclone/cmd/lsf"
	_ "github.com/rclone/rclone/cmd/mkdir"
	_ "github.com/rclone/rclone/cmd/move"
	_ "github.com/rclone/rclone/cmd/moveto"
	_ "github.com/rclone/rclone/cmd/purge"
	_ "github.com/rclone/rclone/cmd/rcat"
	_ "github.com/rclone/rclone/cmd/rmdir"
	_ "github.com/rclone/rclone/cmd/size"
	_ "github.com/rclone/rclone/cmd/sync"
	_ "github.com/rclone/rclone/cmd/touch"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/cisternhq/cistern/conformance/internal/cistern"
)

// asRclone is the variable that makes the test binary rclone.
const asRclone = "CONFORMANCE_AS_RCLONE"

// command is the path of Cistern's command, built once.
var command string

func TestMain(m *testing.M) {
	if os.Getenv(asRclone) != "" {
		net.DefaultResolver = loopbackResolver()
		cmd.Main()
		return
	}
	flag.Parse()
	if skip := flag.Lookup("test.skip"); skip.Value.String() == "" {
		if err := skip.Value.Set(skipped); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(cistern.Main(m, func(path string) { command = path }))
}

// loopbackResolver finds 127.0.0.1 for every name. The backend always puts a zone before the endpoint's host and takes no
// address for an endpoint, and a name like pek3a.cistern.test resolves nowhere. A proxy would do, too, but then
// the requests would not be those that the backend sends to a server.
func loopbackResolver() *net.Resolver {
	var answering sync.WaitGroup // never waited for: the process is one command, and ends with it
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		answering.Go(func() { answer(ours) })
		return theirs, nil
	}}
}

// answer speaks DNS as over TCP, each message after its length, until the resolver hangs up.
func answer(conn net.Conn) {
	defer conn.Close()
	for {
		var length uint16
		if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
			return
		}
		packet := make([]byte, length)
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(packet); err != nil {
			return
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		for _, q := range m.Questions {
			if q.Type == dnsmessage.TypeA {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				})
			}
		}
		packet, err := m.Pack()
		if err != nil {
			return
		}
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
		if _, err := conn.Write(packet); err != nil {
			return
		}
	}
}
