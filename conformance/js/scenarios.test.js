// The official scenarios, as far as the JavaScript SDK can make the requests; what it cannot is at the end, each with its
// reason. The SDK is used as its documentation says, on Node.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const http = require('node:http');
const { describe, test } = require('node:test');
const axios = require('axios'); // what the SDK sends with
const { Client, Config, QingStor } = require('qingstor-sdk');

const port = Number(process.env.CISTERN_PORT);
const source = process.env.CISTERN_SOURCE;

// Every name is on the loopback address: the SDK puts a zone before the host, and Node takes no zone before an address.
const agent = new http.Agent({
  keepAlive: false,
  lookup: (name, options, done) =>
    options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4),
});

const settings = {
  endpoint: `http://cistern.test:${port}`,
  host: 'cistern.test',
  protocol: 'http',
  port,
  // Bytes as they come: axios would make text, and of JSON an object.
  getAxiosConfig: () => ({ httpAgent: agent, responseType: 'arraybuffer' }),
};

// An error says which request it was, and what the server said.
axios.interceptors.response.use(undefined, (error) => {
  const said = error.response ? Buffer.from(error.response.data).toString() : '';
  error.message = `${error.config.method} ${error.config.url}: ${error.message} ${said}`;
  throw error;
});

function service(more = {}) {
  return new QingStor(new Config({ ...settings, ...more }));
}

// json reads the document in an answer.
const json = (response) => JSON.parse(Buffer.from(response.data).toString());

// refused wants an error of the API with this status and code; "" is for answers without a body.
async function refused(call, status, code) {
  await assert.rejects(call, (error) => {
    assert.ok(error.response, `no answer: ${error}`);
    assert.equal(error.response.status, status);
    if (code) {
      assert.equal(json(error.response).code, code);
    }
    return true;
  });
}

async function make(name) {
  const bucket = service().Bucket(name, 'pek3a');
  assert.equal((await bucket.put()).status, 201);
  return bucket;
}

// plain gets a URL without the SDK: status and text, or the bytes alone.
function plain(url, encoding) {
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent }, (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('end', () => {
          const body = Buffer.concat(parts);
          resolve(encoding === 'binary' ? body : { status: response.statusCode, body: body.toString() });
        });
      })
      .on('error', reject);
  });
}

const oddKeys = [
  'simple',
  'dir/sub/file.tar.gz',
  'trailing slash/',
  'a//b',
  '/in front',
  'UPPER and  blanks',
  '中文测试',
  '田中さんにあげて下さい',
  '사회과학원 어학연구소',
  '𠜎𠜱𠝹𠱓𠱸𠲖𠳏',
  `,./;'[]\\-=`,
  '<>?:"{}|_+',
  '!@#$%^&*()`~',
  `'"'`,
  '100%',
  '%41 %2F',
  'a+b&c=d',
  '?query#fragment',
  'n'.repeat(59).concat('/').repeat(17).slice(0, -1),
  '长'.repeat(341),
  '👩🏽 👨‍👩‍👧‍👦',
  '１２３ ١٢٣',
  'ثم نفس سقطت، ﷽',
  'הָיְתָהtestالصفحات التّحول',
];

test('service: list buckets', async () => {
  await make('js-listed');
  const all = await service().listBuckets();
  assert.equal(all.status, 200);
  const found = json(all).buckets.find((bucket) => bucket.name === 'js-listed');
  assert.equal(found.location, 'pek3a');
  const elsewhere = await service().listBuckets({ location: 'sh1a' });
  assert.deepEqual(json(elsewhere).buckets, []);
});

test('bucket: put, put again, head, list, statistics, delete', async () => {
  const bucket = await make('js-bucket');
  await refused(bucket.put(), 409, 'bucket_already_exists');
  assert.equal((await bucket.head()).status, 200);
  const empty = json(await bucket.listObjects());
  assert.deepEqual([empty.keys.length, empty.has_more, empty.next_marker], [0, false, '']);
  const stats = await bucket.getStatistics();
  assert.equal(stats.status, 200);
  assert.deepEqual([json(stats).status, json(stats).count], ['active', 0]);
  assert.equal((await bucket.delete()).status, 204);
  await refused(bucket.head(), 404, '');
  await refused(bucket.listObjects(), 404, 'bucket_not_exists');
});

test('objects: list with prefix, delimiter, marker and limit', async () => {
  const bucket = await make('js-list');
  for (const key of ['a/1', 'a/2', 'b 1', '中/1']) {
    assert.equal((await bucket.putObject(key, { body: key })).status, 201);
  }
  const list = async (options) => {
    const page = json(await bucket.listObjects(options));
    return { keys: page.keys.map((entry) => entry.key), common: page.common_prefixes, more: page.has_more, next: page.next_marker };
  };
  assert.deepEqual((await list({ delimiter: '/' })).common, ['a/', '中/']);
  assert.deepEqual((await list({ prefix: '中/' })).keys, ['中/1']);
  assert.deepEqual((await list({ prefix: 'b ' })).keys, ['b 1']);
  const first = await list({ limit: 3 });
  assert.deepEqual([first.keys, first.more], [['a/1', 'a/2', 'b 1'], true]);
  assert.deepEqual((await list({ limit: 3, marker: first.next })).keys, ['中/1']);
});

describe('objects: every odd key', async () => {
  let bucket;
  let nth = 0;
  for (const key of oddKeys) {
    test(JSON.stringify(key.length > 60 ? `${key.slice(0, 40)}… (${Buffer.byteLength(key)} bytes)` : key), async () => {
      bucket = bucket || (await make('js-odd'));
      const body = `body of ${key}`;
      const put = await bucket.putObject(key, { body, 'content-type': 'text/x-odd' });
      assert.equal(put.status, 201);
      assert.equal(put.headers.etag, `"${crypto.createHash('md5').update(body).digest('hex')}"`);

      const get = await bucket.getObject(key);
      assert.equal(get.status, 200);
      assert.equal(Buffer.from(get.data).toString(), body);
      assert.equal(get.headers['content-type'], 'text/x-odd');

      const typed = await bucket.getObject(key, { 'response-content-type': 'video/mp4; charset=utf8' });
      assert.equal(typed.headers['content-type'], 'video/mp4; charset=utf8');

      const head = await bucket.headObject(key);
      assert.equal(head.headers['content-length'], String(Buffer.byteLength(body)));

      const link = await bucket.getObjectRequest(key).signQuery(60);
      assert.deepEqual(await plain(link.operation.uri), { status: 200, body });

      // The longest key leaves no room for an ending.
      nth += 1;
      const [copied, moved] = [`copy of ${nth} ${key.slice(0, 100)}`, `moved ${nth} ${key.slice(0, 100)}`];
      assert.equal((await bucket.putObject(copied, { 'x-qs-copy-source': `/js-odd/${key}` })).status, 201);
      assert.equal((await bucket.putObject(moved, { 'x-qs-move-source': `/js-odd/${copied}` })).status, 201);
      const back = await bucket.getObject(moved);
      assert.equal(Buffer.from(back.data).toString(), body);
      assert.equal(back.headers['content-type'], 'text/x-odd');
      await refused(bucket.headObject(copied), 404, '');

      assert.equal((await bucket.deleteObject(key)).status, 204);
      await refused(bucket.getObject(key), 404, 'object_not_exists');
    });
  }
});

test('objects: metadata, ranges, empty bodies, types of copies', async () => {
  const bucket = await make('js-objects');
  // The SDK has no option for a header of metadata; a request takes any before it is sent.
  const request = bucket.putObjectRequest('tagged', { body: Buffer.from('0123456789'), 'cache-control': 'max-age=7' });
  request.operation.headers['x-qs-meta-k1'] = 'v1';
  request.operation.headers['x-qs-meta-k2'] = 'v2';
  assert.equal((await request.send()).status, 201);
  const get = await bucket.getObject('tagged');
  assert.deepEqual([get.headers['x-qs-meta-k1'], get.headers['x-qs-meta-k2'], get.headers['cache-control']], ['v1', 'v2', 'max-age=7']);

  const range = await bucket.getObject('tagged', { range: 'bytes=2-4' });
  assert.deepEqual([range.status, Buffer.from(range.data).toString(), range.headers['content-range']], [206, '234', 'bytes 2-4/10']);
  await refused(bucket.getObject('tagged', { range: 'bytes=10-' }), 416, 'invalid_range');

  assert.equal((await bucket.putObject('empty')).status, 201);
  assert.equal((await bucket.headObject('empty')).headers['content-length'], '0');
  // A copy is sent with the type application/octet-stream: it is not the copy's.
  assert.equal((await bucket.putObject('typed', { body: 'x', 'content-type': 'text/x-typed' })).status, 201);
  assert.equal((await bucket.putObject('typed copy', { 'x-qs-copy-source': '/js-objects/typed' })).status, 201);
  assert.equal((await bucket.headObject('typed copy')).headers['content-type'], 'text/x-typed');
});

test('objects: delete several', async () => {
  const bucket = await make('js-delete');
  for (const key of ['object_0', 'object_1', '中 文']) {
    await bucket.putObject(key, { body: 'x' });
  }
  const deleted = await bucket.deleteMultipleObjects({
    quiet: false,
    objects: [{ key: 'object_0' }, { key: '中 文' }, { key: 'never there' }],
  });
  assert.equal(deleted.status, 200);
  assert.deepEqual(json(deleted).deleted.map((entry) => entry.key), ['object_0', '中 文', 'never there']);
  assert.deepEqual(json(await bucket.listObjects()).keys.map((entry) => entry.key), ['object_1']);
});

test('objects: an upload in parts', async () => {
  const bucket = await make('js-parts');
  const key = '中文分块测试';
  const parts = [5, 4, 3].map((mebibytes, i) => Buffer.alloc(mebibytes << 20, String(i)));
  const upload = json(await bucket.initiateMultipartUpload(key, { 'content-type': 'text/x-parts' }));
  assert.equal(upload.key, key);
  assert.equal(json(await bucket.listMultipartUploads()).uploads.length, 1);
  for (const [i, body] of parts.entries()) {
    // The SDK takes the number 0 for none; the text is one.
    const part = await bucket.uploadMultipart(key, { upload_id: upload.upload_id, part_number: String(i), body });
    assert.equal(part.status, 201);
  }
  const listed = json(await bucket.listMultipart(key, { upload_id: upload.upload_id }));
  assert.deepEqual(listed.object_parts.map((part) => [part.part_number, part.size]), parts.map((body, i) => [i, body.length]));
  const done = await bucket.completeMultipartUpload(key, { upload_id: upload.upload_id, object_parts: listed.object_parts });
  assert.equal(done.status, 201);
  assert.equal((await bucket.abortMultipartUpload(key, { upload_id: upload.upload_id })).status, 204);
  const get = await bucket.getObject(key);
  assert.ok(Buffer.concat(parts).equals(Buffer.from(get.data)), 'the object differs from its parts');
  assert.equal(get.headers['content-type'], 'text/x-parts');
  const across = await bucket.getObject(key, { range: `bytes=${(5 << 20) - 1}-${5 << 20}` });
  assert.equal(Buffer.from(across.data).toString(), '01');
  assert.equal((await bucket.deleteObject(key)).status, 204);
});

test('objects: encryption with the key of the one who asks', async () => {
  const bucket = await make('js-encrypted');
  const key = {
    'x-qs-encryption-customer-algorithm': 'AES256',
    'x-qs-encryption-customer-key': 'eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=',
    'x-qs-encryption-customer-key-md5': '3I/h1kl+vSP1l12NKhxegQ==',
  };
  const copying = Object.fromEntries(Object.entries(key).map(([name, value]) => [name.replace('x-qs-', 'x-qs-copy-source-'), value]));
  const body = Buffer.alloc(1 << 20, 'z');
  assert.equal((await bucket.putObject('test_object', { body, ...key })).status, 201);
  assert.equal((await bucket.putObject('test_object-copy', { 'x-qs-copy-source': '/js-encrypted/test_object', ...copying, ...key })).status, 201);
  assert.equal((await bucket.putObject('test_object-move', { 'x-qs-move-source': '/js-encrypted/test_object-copy' })).status, 201);
  for (const name of ['test_object', 'test_object-move']) {
    const get = await bucket.getObject(name, key);
    assert.equal(get.headers['x-qs-encryption-customer-algorithm'], 'AES256');
    assert.ok(body.equals(Buffer.from(get.data)), `${name} differs from what was put`);
    assert.equal((await bucket.headObject(name, key)).status, 200);
    await assert.rejects(bucket.getObject(name), (error) => error.response.status >= 400 && error.response.status < 500);
    assert.equal((await bucket.deleteObject(name)).status, 204);
  }
});

test('image: every operation that the official scenarios list', async () => {
  const bucket = await make('js-image');
  const picture = await plain(new URL('/test.jpg', source), 'binary');
  assert.equal((await bucket.putObject('test.jpg', { body: picture, 'content-type': 'image/jpeg' })).status, 201);
  for (const action of [
    'info',
    'crop:w_300,h_400,g_2',
    'rotate:a_90',
    'resize:w_500,h_500,m_2',
    'watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150',
    'format:t_png',
    'format:t_webp',
    'format:t_tiff',
    'crop:w_300|rotate:a_90|resize:h_200|watermark:t_5rC05Y2w5paH5a2X,p_0.5,d_150|format:t_png|info',
  ]) {
    assert.equal((await bucket.imageProcess('test.jpg', { action })).status, 200, action);
  }
  const info = json(await bucket.imageProcess('test.jpg', { action: 'resize:w_50,h_50,m_1|info' }));
  assert.deepEqual([info.width, info.height, info.type], [50, 50, 'jpeg']);
});

test('acl', async () => {
  const bucket = await make('js-acl');
  await bucket.putObject('key', { body: 'for all' });
  const url = `http://pek3a.cistern.test:${port}/js-acl/key`;
  assert.equal((await plain(url)).status, 403);
  const grant = { grantee: { type: 'group', name: 'QS_ALL_USERS' }, permission: 'READ' };
  assert.equal((await bucket.putACL({ acl: [grant] })).status, 200);
  assert.ok(json(await bucket.getACL()).acl.some((entry) => entry.grantee.name === 'QS_ALL_USERS'));
  assert.deepEqual(await plain(url), { status: 200, body: 'for all' });
});

// Each setting: what is put, and what of it must come back.
const documents = {
  CORS: {
    cors_rules: [
      {
        allowed_origin: 'http://*.example.com',
        allowed_methods: ['PUT', 'GET'],
        allowed_headers: ['*'],
        expose_headers: ['X-QS-Date'],
        max_age_seconds: 200,
      },
    ],
  },
  Policy: {
    statement: [
      {
        id: 'allow certain sites to get objects',
        user: ['*'],
        action: ['get_object'],
        effect: 'allow',
        resource: ['js-policy/*'],
        condition: { string_like: { Referer: ['*.example1.com'] }, ip_address: { source_ip: ['172.16.0.0/24'] } },
      },
    ],
  },
  Lifecycle: {
    rule: [
      {
        id: 'abort-in-data',
        status: 'enabled',
        filter: { prefix: 'data/' },
        abort_incomplete_multipart_upload: { days_after_initiation: 3 },
      },
    ],
  },
  Notification: {
    notifications: [
      {
        id: 'notification-1',
        event_types: ['create_object'],
        cloudfunc: 'notifier',
        object_filters: ['*'],
        notify_url: 'http://user_notify_url',
      },
    ],
  },
  ExternalMirror: { source_site: 'https://example.com/something/' },
  Logging: { target_bucket: 'js-logging', target_prefix: 'logs/' },
};

// covers says whether got has everything that want has; a server may add members.
function covers(got, want, where = '') {
  if (want === null || typeof want !== 'object') {
    assert.deepEqual(got, want, where);
    return;
  }
  for (const [name, value] of Object.entries(want)) {
    assert.ok(got && name in got, `${where}.${name} did not come back`);
    covers(got[name], value, `${where}.${name}`);
  }
}

for (const [name, document] of Object.entries(documents)) {
  test(`setting: ${name}`, async () => {
    const bucket = await make(`js-${name.toLowerCase()}`);
    assert.equal((await bucket[`put${name}`](document)).status, 200);
    const get = await bucket[`get${name}`]();
    assert.equal(get.status, 200);
    covers(json(get), document);
    assert.equal((await bucket[`delete${name}`]()).status, 204);
  });
}

test('setting: CNAME', async () => {
  const bucket = await make('js-cname');
  assert.equal((await bucket.putCNAME({ domain: 'files.example.com', type: 'normal' })).status, 200);
  const records = json(await bucket.getCNAME({ type: 'normal' }));
  assert.deepEqual([records.count, records.cname_records[0].domain], [1, 'files.example.com']);
  assert.equal((await bucket.deleteCNAME({ domain: 'files.example.com' })).status, 204);
});

test('setting: Replication', async () => {
  await make('js-replica');
  const bucket = await make('js-replicated');
  const rules = [{ id: 'all', status: 'enabled', filters: { prefix: '' }, destination: { bucket: 'js-replica' } }];
  assert.equal((await bucket.putReplication({ rules })).status, 200);
  covers(json(await bucket.getReplication()), { rules });
  assert.equal((await bucket.deleteReplication()).status, 204);
});

test('mirror: what only the source has', async () => {
  const bucket = await make('js-mirror');
  assert.equal((await bucket.putExternalMirror({ source_site: source })).status, 200);
  assert.equal((await bucket.headObject('a b/中+.txt')).headers['content-length'], '15');
  const get = await bucket.getObject('a b/中+.txt');
  assert.deepEqual([get.status, Buffer.from(get.data).toString()], [200, 'from the source']);
  assert.equal(get.headers['content-type'], 'text/x-source');
  await refused(bucket.getObject('absent'), 404, 'object_not_exists');
});

test('objects: fetch from a URL', async () => {
  const bucket = await make('js-fetch');
  const from = (path) => ({ 'x-qs-fetch-source': source + path }); // the SDK escapes the values of headers
  assert.equal((await bucket.putObject('here', from('a b/中+.txt'))).status, 201);
  assert.equal(Buffer.from((await bucket.getObject('here')).data).toString(), 'from the source');
  await refused(bucket.putObject('absent', from('absent')), 404, 'object_not_exists');
});

test('credentials: a wrong secret and an unknown key', async () => {
  await refused(service({ secret_access_key: 'another' }).listBuckets(), 401, 'signature_not_matched');
  await refused(service({ access_key_id: 'NOBODY' }).listBuckets(), 401, 'invalid_access_key_id');
});

// What the SDK itself cannot do, whatever the server is. Each is a test, so that the list stays true: when one begins to fail,
// the SDK can do it, and a scenario is due.
const cannot = {
  'OPTIONS of an object: its own check looks for header names that it has just made lower case': async (bucket) => {
    assert.throws(
      () => bucket.optionsObjectRequest('key', { 'access-control-request-method': 'GET', origin: 'example.com' }),
      /Access-Control-Request-Method is required/
    );
  },
  'an empty ACL: its own check takes an empty list for none': async (bucket) => {
    assert.throws(() => bucket.putACLRequest({ acl: [] }), /acl is required/);
  },
  'part 0 as a number: it takes 0 for none': async (bucket) => {
    assert.throws(() => bucket.uploadMultipartRequest('key', { part_number: 0, upload_id: 'id' }), /part_number is required/);
  },
  'a condition with an ETag or a date: it escapes the values of headers as those of URLs': async (bucket) => {
    const { headers } = bucket.getObjectRequest('key', { 'if-match': '"tag"', 'if-modified-since': 'Mon, 02 Jan 2006 15:04:05 GMT' }).operation;
    assert.deepEqual([headers['if-match'], headers['if-modified-since']], ['%22tag%22', 'Mon,%2002%20Jan%202006%2015:04:05%20GMT']);
  },
  'metadata as an option: it knows one header of the name x-qs-metadata': async (bucket) => {
    const { headers } = bucket.putObjectRequest('key', { 'x-qs-meta-k1': 'v1' }).operation;
    assert.equal(headers['x-qs-meta-k1'], undefined);
  },
  'append: it does not sign the position, which the API says is signed': async (bucket) => {
    await assert.rejects(bucket.appendObject('log', { position: '0', body: 'x' }), (error) => {
      assert.deepEqual([error.response.status, json(error.response).code], [401, 'signature_not_matched']);
      return true;
    });
  },
  'virtual-host style on Node: it dials bucket.zone.host, and names zone.host in the Host header': async () => {
    const request = service({ enable_virtual_host_style: true }).Bucket('js-cannot', 'pek3a').headRequest();
    assert.equal(new URL(request.operation.uri).hostname, 'js-cannot.pek3a.cistern.test');
    assert.equal(request.operation.headers.host, 'pek3a.cistern.test');
  },
  'image processing through Client.Image: it drops the answer (bucket.imageProcess does not)': async () => {
    assert.equal(new Client.Image('key', { imageProcess: () => 'an answer' }).info().imageProcess(), undefined);
  },
};

for (const [what, shows] of Object.entries(cannot)) {
  test(`the SDK cannot: ${what}`, () => shows(service().Bucket('js-cannot', 'pek3a')));
}
