package qsapi_test

import (
	"strings"
	"testing"
)

// settingTest is what one of the settings by which the server does something by itself takes and refuses.
type settingTest struct {
	name string // of the sub-resource
	good []string
	bad  map[string]string // document → what the message says
}

var settingTests = []settingTest{
	{
		name: "lifecycle",
		good: []string{
			`{"rule":[{"id":"a","status":"Enabled","filter":{"prefix":""},"expiration":{"days":1}},` +
				`{"id":"b","status":"disabled","filter":{"prefix":"logs/"},"abort_incomplete_multipart_upload":{"days_after_initiation":7}},` +
				`{"id":"c","status":"enabled","filter":{"prefix":"logs/"},"transition":{"days":30,"storage_class":"STANDARD_IA"}}]}`,
			// A program with the original SDK sends a number, and can read nothing else back.
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":"a"},"transition":{"days":30,"storage_class":1}}]}`,
		},
		bad: map[string]string{
			`{"rule":[]}`:     "0 rules",
			`{"rule":[null]}`: "rule[0]",
			`{}`:              "0 rules",
			`{"rule":[{"status":"enabled","filter":{"prefix":""},"expiration":{"days":1}}]}`:                                                                                       "rule[0].id is missing",
			`{"rule":[{"id":"a","filter":{"prefix":""},"expiration":{"days":1}}]}`:                                                                                                 "rule[0].status is missing",
			`{"rule":[{"id":"a","status":"enabled","expiration":{"days":1}}]}`:                                                                                                     "rule[0].filter.prefix is missing",
			`{"rule":[{"id":"a","status":"enabled","filter":{},"expiration":{"days":1}}]}`:                                                                                         "rule[0].filter.prefix is missing",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"expiration":{}}]}`:                                                                                      "rule[0].expiration.days is missing",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"expiration":{"days":0}}]}`:                                                                              "rule[0].expiration.days is 0",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"expiration":{"days":-1}}]}`:                                                                             "rule[0].expiration.days is -1",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""}}]}`:                                                                                                      "is missing",
			`{"rule":[{"id":"a","status":"maybe","filter":{"prefix":""},"expiration":{"days":1}}]}`:                                                                                `rule[0].status is "maybe"`,
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"transition":{"days":30}}]}`:                                                                             "transition.storage_class is missing",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"transition":{"days":30,"storage_class":"STANDARD"}}]}`:                                                  "transition.storage_class",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"transition":{"days":29,"storage_class":"STANDARD_IA"}}]}`:                                               "transition.days is 29",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"transition":{"days":30,"storage_class":"GLACIER"}}]}`:                                                   "storage_class",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"expiration":{"days":1},"transition":{"days":30,"storage_class":"STANDARD_IA"}}]}`:                       "one rule",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"expiration":{"days":1}},{"id":"b","status":"enabled","filter":{"prefix":""},"expiration":{"days":2}}]}`: "rule[1] has the prefix and the action of rule[0]",
			`{"rule":[{"id":"a","status":"enabled","filter":{"prefix":""},"expiration":{"days":"1"}}]}`:                                                                            "days",
			`{"rules":[]}`: "rules",
		},
	},
	{
		name: "notification",
		good: []string{
			`{"notifications":[{"id":"n","event_types":["create_object","delete_object"],"cloudfunc":"notifier","notify_url":"http://user_notify_url"}]}`,
			`{"notifications":[{"id":"n","event_types":["create_object"],"object_filters":["*.jpg","a?"],"cloudfunc":"tupu-porn","notify_url":"https://example.org/x?y=z"}]}`,
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"image","cloudfunc_args":{"action":"resize:w_10","key_prefix":"small","key_seprate":"-","save_bucket":"target"}}]}`,
			`{"notifications":[{"id":"n","event_types":["abort_multipart"],"object_filters":"*","cloudfunc":"notifier","notify_url":"example.org"}]}`,
		},
		bad: map[string]string{
			`{}`:                       "there are 0",
			`{"notifications":[]}`:     "there are 0",
			`{"notifications":[null]}`: "notifications[0]",
			`{"notifications":[{"event_types":["create_object"],"cloudfunc":"notifier","notify_url":"http://a.example"}]}`:                                             "notifications[0].id is missing",
			`{"notifications":[{"id":"n","cloudfunc":"notifier","notify_url":"http://a.example"}]}`:                                                                    "notifications[0].event_types is missing",
			`{"notifications":[{"id":"n","event_types":["created"],"cloudfunc":"notifier","notify_url":"http://a.example"}]}`:                                          `notifications[0].event_types[0] is "created"`,
			`{"notifications":[{"id":"n","event_types":["create_object"],"notify_url":"http://a.example"}]}`:                                                           "notifications[0].cloudfunc",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"notifier"}]}`:                                                                    "notifications[0].notify_url is missing",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"notifier","notify_url":"ftp://a.example"}]}`:                                     `notifications[0].notify_url: the scheme "ftp"`,
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"notifier","notify_url":"http://169.254.169.254/latest"}]}`:                       "notifications[0].notify_url: the host",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"notifier","notify_url":"http://127.0.0.1/"}]}`:                                   "private address",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"notifier","notify_url":"http://a.example","cloudfunc_args":{"action":"info"}}]}`: "cloudfunc_args",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"image"}]}`:                                                                       "cloudfunc_args.action is missing",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"image","cloudfunc_args":{"action":"explode"}}]}`:                                 "cloudfunc_args.action",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"image","cloudfunc_args":{"action":"info","save_bucket":"foreign"}}]}`:            "cloudfunc_args.save_bucket",
			`{"notifications":[{"id":"n","event_types":["create_object"],"cloudfunc":"image","cloudfunc_args":{"action":"info","save_bucket":"nowhere"}}]}`:            "cloudfunc_args.save_bucket",
			`{"notifications":[{"id":"n","event_types":"create","cloudfunc":"notifier","notify_url":"http://a.example"}]}`:                                             "event_types",
		},
	},
	{
		name: "replication",
		good: []string{
			`{"rules":[{"id":"a","filters":{"prefix":"a/"},"destination":{"bucket":"target"}},` +
				`{"id":"b","status":"disabled","filters":{"prefix":"b/"},"destination":{"bucket":"target","zone":"pek3a","storage_class":"STANDARD_IA"},"sync_marker":"enabled","delete_marker":"enabled"}]}`,
			`{"rules":[{"id":"` + strings.Repeat("x", 255) + `","status":"enabled","filters":{"prefix":"` + strings.Repeat("x", 1024) + `"},"destination":{"bucket":"target"},"sync_marker":"disabled","delete_marker":"disabled"}]}`,
		},
		bad: map[string]string{
			`{}`: "there are 0",
			`{"rules":[{"filters":{"prefix":""},"destination":{"bucket":"target"}}]}`:                                                                                  "rules[0].id is missing",
			`{"rules":[{"id":"a","destination":{"bucket":"target"}}]}`:                                                                                                 "rules[0].filters is missing",
			`{"rules":[{"id":"a","filters":{"prefix":""}}]}`:                                                                                                           "rules[0].destination is missing",
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{}}]}`:                                                                                          "rules[0].destination.bucket is missing",
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{"bucket":"bucket"}}]}`:                                                                         "the bucket itself",
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{"bucket":"nowhere"}}]}`:                                                                        "does not exist",
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{"bucket":"foreign"}}]}`:                                                                        "create_object",
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{"bucket":"target","zone":"sh1a"}}]}`:                                                           `rules[0].destination.zone is "sh1a"`,
			`{"rules":[{"id":"a","status":"on","filters":{"prefix":""},"destination":{"bucket":"target"}}]}`:                                                           `rules[0].status is "on"`,
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{"bucket":"target"},"sync_marker":"yes"}]}`:                                                     `rules[0].sync_marker is "yes"`,
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{"bucket":"target"},"delete_marker":""}]}`:                                                      `rules[0].delete_marker is ""`,
			`{"rules":[{"id":"a","filters":{"prefix":""},"destination":{"bucket":"target"}},{"id":"b","filters":{"prefix":"b"},"destination":{"bucket":"target"}}]}`:   "must not overlap",
			`{"rules":[{"id":"a","filters":{"prefix":"a"},"destination":{"bucket":"target"}},{"id":"b","filters":{"prefix":"b"},"destination":{"bucket":"foreign"}}]}`: "all rules have the same",
		},
	},
	{
		name: "logging",
		good: []string{`{"target_bucket":"target","target_prefix":"logs/"}`, `{"target_bucket":"bucket","target_prefix":""}`},
		bad: map[string]string{
			`{}`:                         "target_bucket is missing",
			`{"target_bucket":"target"}`: "target_prefix is missing",
			`{"target_prefix":"x"}`:      "target_bucket is missing",
			`{"target_bucket":"","target_prefix":"x"}`:                                       "target_bucket is missing",
			`{"target_bucket":"nowhere","target_prefix":"x"}`:                                "target_bucket \"nowhere\" is no bucket of the same owner",
			`{"target_bucket":"foreign","target_prefix":"x"}`:                                "target_bucket \"foreign\" is no bucket of the same owner",
			`{"target_bucket":"target","target_prefix":"` + strings.Repeat("x", 1000) + `"}`: "target_prefix",
			`{"target_bucket":1,"target_prefix":"x"}`:                                        "target_bucket",
		},
	},
}

func TestSettings(t *testing.T) {
	for _, tc := range settingTests {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, nil)
			s.want(message{as: "ALICE", method: "PUT", path: "/bucket"}, 201, "")
			s.want(message{as: "ALICE", method: "PUT", path: "/target"}, 201, "")
			s.want(message{as: "BOB", method: "PUT", path: "/foreign"}, 201, "")
			path := "/bucket?" + tc.name
			s.want(message{as: "ALICE", method: "GET", path: path}, 404, "setting_not_exists")
			s.want(message{as: "ALICE", method: "DELETE", path: path}, 204, "")
			for _, doc := range tc.good {
				if r := s.want(message{as: "ALICE", method: "PUT", path: path, body: doc}, 200, ""); r.body != "" {
					t.Errorf("PUT %s answers %q, want nothing", doc, r.body)
				}
				r := s.want(message{as: "ALICE", method: "GET", path: path}, 200, "")
				if r.body != doc || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("GET = %s (%s), want what was set:\n%s", r.body, r.Header.Get("Content-Type"), doc)
				}
			}
			kept := tc.good[len(tc.good)-1]
			for doc, want := range tc.bad {
				r := s.send(message{as: "ALICE", method: "PUT", path: path, body: doc})
				if r.StatusCode != 400 || !strings.Contains(strings.ToLower(r.body), strings.ToLower(strings.ReplaceAll(want, `"`, `\"`))) {
					t.Errorf("PUT %s = %d %s, want 400 and %q", doc, r.StatusCode, r.body, want)
				}
			}
			for _, doc := range []string{"", "[]", "{", `{"rule":{}}`, `{"nobody":1}`} {
				if r := s.send(message{as: "ALICE", method: "PUT", path: path, body: doc}); r.StatusCode != 400 {
					t.Errorf("PUT %q = %d %s, want 400", doc, r.StatusCode, r.body)
				}
			}
			if r := s.want(message{as: "ALICE", method: "GET", path: path}, 200, ""); r.body != kept {
				t.Errorf("after refused documents: GET = %s, want what was set before:\n%s", r.body, kept)
			}
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				m := message{as: "BOB", method: method, path: path}
				if method == "PUT" {
					m.body = kept
				}
				s.want(m, 403, "permission_denied")
				m.as = ""
				s.want(m, 403, "permission_denied")
			}
			s.want(message{as: "ALICE", method: "DELETE", path: path}, 204, "")
			s.want(message{as: "ALICE", method: "GET", path: path}, 404, "setting_not_exists")
		})
	}
}
