-- rtlua.http against a real server on 127.0.0.1 that misbehaves on request (spec/support/http_server.lua).

local folder = require "spec.support.folder"
local http = require "rtlua.http"
local run = require "spec.support.run"
local system = require "rtlua.system"

local quick = { attempts = 4, base = 0.01, cap = 0.02 } -- retries without a long wait

local function serve(path)
  local process = assert(io.popen("exec lua5.4 spec/support/http_server.lua " .. (path or "")))
  return process, tonumber(process:read "l")
end

describe("rtlua.http", function()
  local server, base, client, dir

  setup(function()
    local port
    server, port = serve()
    base = ("http://127.0.0.1:%d/"):format(port)
  end)
  teardown(function()
    local last <close> = http.new()
    last:request { url = base .. "quit" }
    assert.truthy(server:close())
  end)
  before_each(function() client, dir = http.new(), folder.new() end)
  after_each(function()
    client:close()
    dir:remove()
  end)

  local function get(path, fields)
    fields = fields or {}
    fields.url = base .. path
    return client:request(fields)
  end
  local function count(path) return tonumber(get("count?" .. path).body) end

  describe("a request", function()
    it("brings status, lower-case headers, repeated ones joined, body and attempts", function()
      local r = assert(get("echo"))
      assert.equal(200, r.status)
      assert.equal("two words", r.headers["x-mixed-case"])
      assert.equal("1, 2", r.headers.a)
      assert.equal(1, r.attempts)
      assert.truthy(r.body:find("GET /echo HTTP/1.1", 1, true))
    end)
    it("sends its method, headers, sorted and encoded query, and any bytes as its body", function()
      local body = "a\0b\r\n\255"
      local r = assert(get("echo", { method = "PUT", body = body, headers = { ["X-One"] = "1", ["X-None"] = "" },
        query = { b = "x y&", a = 1 } }))
      assert.truthy(r.body:find("PUT /echo?a=1&b=x%20y%26 HTTP/1.1", 1, true))
      assert.truthy(r.body:find("x-one: 1", 1, true))
      assert.truthy(r.body:find("x-none: \n", 1, true))
      assert.equal(body, r.body:sub(-#body))
    end)
    it("of a missing page is a reply, not a failure", function() assert.equal(404, get("nothing").status) end)
    it("has no body where the method is HEAD", function()
      assert.equal("", get("echo", { method = "HEAD" }).body)
    end)
    it("follows redirects when asked, and only to http", function()
      assert.equal(302, get("redirect").status)
      assert.equal(200, get("redirect", { follow = true }).status)
      local r, message, code = get("file_url", { follow = true })
      assert.is_nil(r)
      assert.truthy(message)
      assert.equal(69, code)
    end)
    it("is signed by AWS Signature 4, without its secret", function()
      local r = assert(get("echo", { method = "POST", body = "Action=X",
        headers = { ["Content-Type"] = "application/x-www-form-urlencoded" },
        sigv4 = { access_key = "AKIDEXAMPLE", secret_key = "SECRETKEY", session_token = "TOKEN",
          region = "us-east-1", service = "ec2" } }))
      assert.truthy(r.body:find("AWS4%-HMAC%-SHA256 Credential=AKIDEXAMPLE/%d+/us%-east%-1/ec2/aws4_request"))
      assert.truthy(r.body:find("x-amz-security-token: TOKEN", 1, true))
      assert.falsy(r.body:find("SECRETKEY", 1, true))
    end)
    it("goes through a unix socket", function()
      local path = dir.path .. "/s"
      local other = serve(path)
      local r = assert(client:request { url = "http://engine/echo", unix_socket = path })
      assert.truthy(r.body:find("host: engine", 1, true))
      client:request { url = "http://engine/quit", unix_socket = path }
      assert.truthy(other:close())
    end)
  end)

  describe("a bad argument", function()
    local function refuses(fields, text)
      local ok, message = pcall(client.request, client, fields)
      assert.is_false(ok)
      assert.truthy(tostring(message):find(text, 1, true), message)
      assert.falsy(tostring(message):find("SECRET", 1, true), message)
    end
    it("raises, and does not repeat what may be secret", function()
      refuses({ url = base, headers = { Authorization = "SECRET\r\nX: y" } }, "headers:")
      refuses({ url = base, headers = { ["X\nY"] = "SECRET" } }, "headers:")
      refuses({ url = base, headers = { ["Content-Length"] = "3" } }, "headers:")
      refuses({ url = "ftp://host/?SECRET" }, "http://")
      refuses({ url = "http://me:SECRET@host/" }, "no user name")
      refuses({ url = base, method = "GET X" }, "method:")
      refuses({ url = base, tiemout = 1 }, "tiemout")
      refuses({ url = base, timeout = 0 / 0 }, "timeout:")
      refuses({ url = base, retry = { attempts = 0 } }, "attempts:")
      refuses({ url = base, sigv4 = { access_key = "A\nSECRET" } }, "sigv4.access_key")
      refuses({ url = base, follow = true, sigv4 = { access_key = "A", secret_key = "SECRET", region = "r",
        service = "s" } }, "redirects")
      refuses({ url = base, body = "a", body_file = "b" }, "body_file")
      refuses({}, "url:")
    end)
  end)

  describe("a failure", function()
    it("of the connection is code 69, with a message that holds neither header nor query", function()
      local r, message, code = client:request { url = "http://127.0.0.1:1/path?token=SECRET", retry = quick,
        headers = { Authorization = "Bearer SECRET" } }
      assert.is_nil(r)
      assert.equal(69, code)
      assert.truthy(message:find("GET http://127.0.0.1:1/path: ", 1, true), message)
      assert.truthy(message:find("4 attempts", 1, true), message)
      assert.falsy(message:find("SECRET", 1, true), message)
    end)
    it("to answer in time is code 75", function()
      local begin = system.now()
      local r, _, code = get("never", { timeout = 0.3, retry = { attempts = 1 } })
      assert.is_nil(r)
      assert.equal(75, code)
      assert.is_true(system.now() - begin < 2)
    end)
    it("of a body that is too large is code 65", function()
      local _, message, code = get("big", { max_body = 100000 })
      assert.equal(65, code)
      assert.truthy(message:find("100000 bytes", 1, true))
    end)
    it("of a reply that was cut off is code 75", function()
      assert.equal(75, select(3, get("always_cut", { retry = { attempts = 1 } })))
    end)
  end)

  describe("a retry", function()
    it("waits as long as Retry-After asks, in seconds or until a date of the server's clock", function()
      for _, path in ipairs { "limited", "dated" } do
        local begin = system.now()
        local r = assert(get(path, { retry = quick }))
        assert.equal(200, r.status)
        assert.equal(2, r.attempts)
        local took = system.now() - begin
        assert.is_true(took >= 1 and took < 4, took)
      end
    end)
    it("gives the reply back where the server asks for more than max_wait", function()
      assert.equal(429, get("later", { retry = quick }).status)
      assert.equal(1, count "later")
    end)
    it("follows 503 and a cut reply until it is 200", function()
      assert.equal(3, get("flaky", { retry = quick }).attempts)
      local r = get("cut", { retry = quick })
      assert.equal(2, r.attempts)
      assert.equal(("x"):rep(1000), r.body)
    end)
    it("ends after so many attempts with the last reply", function()
      local r = get("down", { retry = quick })
      assert.equal(500, r.status)
      assert.equal(4, r.attempts)
      assert.equal("no", r.body)
      assert.equal(4, count "down")
    end)
    it("is for idempotent methods, others only when asked", function()
      assert.equal(1, get("flaky?a", { method = "POST", body = "", retry = quick }).attempts)
      local always = { attempts = 4, base = 0.01, always = true }
      assert.equal(3, get("flaky?b", { method = "POST", body = "", retry = always }).attempts)
    end)
  end)

  describe("a stream", function()
    local content = ("0123456789abcdef"):rep(4 << 16)
    it("goes to a file that is whole, or to none", function()
      assert.equal("", get("big", { to_file = dir.path .. "/big" }).body)
      assert.is_true(dir:read "big" == content)
      assert.equal(404, get("nothing", { to_file = dir.path .. "/none" }).status)
      assert.is_nil(get("always_cut", { to_file = dir.path .. "/none", retry = quick }))
      assert.same({ "big" }, dir:list())
      assert.equal(73, select(3, get("big", { to_file = dir.path .. "/no/file" })))
    end)
    it("comes in pieces, with progress", function()
      local pieces, last = {}, nil
      local r = assert(get("big", {
        on_data = function(data) pieces[#pieces + 1] = data end,
        on_progress = function(p) last = p end,
      }))
      assert.equal("", r.body)
      assert.is_true(table.concat(pieces) == content)
      assert.is_true(#pieces > 1)
      assert.equal(#content, last.received)
      assert.equal(#content, last.receiving)
    end)
    it("sends a file", function()
      local path = dir:write("up", content)
      local r = assert(get("echo", { method = "PUT", body_file = path }))
      assert.is_true(r.body:sub(-#content) == content)
      assert.equal(66, select(3, get("echo", { method = "PUT", body_file = dir.path .. "/no" })))
    end)
    it("ends with an error of its callback, which cannot use the client", function()
      assert.has_error(function() get("big", { on_data = function() error("mine", 0) end }) end, "mine")
      assert.has_error(function() get("big", { on_data = function() client:close() end }) end)
      assert.equal(200, get("echo").status)
    end)
  end)

  it("sends what must not be done twice once, whatever becomes of the connection", function()
    local own <close> = http.new()
    assert.equal("kept", own:request { url = base .. "kept" }.body)
    own:request { url = base .. "order", method = "POST", body = "one", retry = { attempts = 1 } }
    assert.equal("1", own:request { url = base .. "count?order" }.body)
  end)

  describe("many at once", function()
    it("take about as long as one", function()
      local begin, n = system.now(), 0
      for _ = 1, 10 do assert(client:start { url = base .. "slow" }) end
      while true do
        local list = assert(client:wait())
        if #list == 0 then break end
        for _, transfer in ipairs(list) do
          assert.equal("slow", transfer:result().body)
          n = n + 1
        end
      end
      assert.equal(10, n)
      assert.is_true(system.now() - begin < 2)
    end)
    it("can be cancelled, and waited for in part", function()
      local transfer = assert(client:start { url = base .. "never" })
      assert.same({}, client:wait(0.1))
      assert.is_false(transfer:done())
      transfer:cancel()
      transfer:cancel()
      assert.is_true(transfer:done())
      assert.has_error(function() transfer:result() end)
      assert.same({}, client:wait())
    end)
    it("end with their client, collected or closed", function()
      local transfer = assert(client:start { url = base .. "never" })
      client:close()
      assert.is_true(transfer:done())
      transfer:cancel()
      assert.has_error(function() client:wait() end)
      assert(http.new():start { url = base .. "never" })
      collectgarbage()
      collectgarbage()
    end)
  end)

  it("ends a wait on a signal with its code, and still works for the clean-up", function()
    local script = dir:write("wait.lua", ([[
      local http, signal, system = require "rtlua.http", require "rtlua.signal", require "rtlua.system"
      signal.install()
      local client <close> = http.new()
      local begin = system.now()
      local r, message, code = client:request { url = %q .. "never" }
      assert(r == nil and system.now() - begin < 5)
      assert(client:request { url = %q .. "echo" }.status == 200)
      print(message, code)
    ]]):format(base, base))
    local result = run.program("lua5.4", { script }, { signal = "INT", after = 0.5, env = {
      LUA_CPATH = "./?.so;;", LUA_PATH = "./scripts/?.lua;;" } })
    assert.equal("stopped by SIGINT\t130\n", result.stdout, result.stderr)
  end)

  it("verifies TLS: refuses an unknown certificate, takes one of ca_file", function()
    local made = run.program("openssl", { "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
      "-keyout", dir.path .. "/key", "-out", dir.path .. "/cert" })
    assert.equal(0, made.code, made.stderr)
    -- It ends by itself after the three connections.
    local tls = assert(io.popen(("exec timeout 30 openssl s_server -accept 127.0.0.1:0 -naccept 3 -www -key %s/key "
      .. "-cert %s/cert 2>&1"):format(dir.path, dir.path)))
    local port
    repeat port = assert(tls:read "l"):match "^ACCEPT .*:(%d+)$" until port
    local url = ("https://127.0.0.1:%s/"):format(port)
    local r, message, code = client:request { url = url, retry = quick }
    assert.is_nil(r)
    assert.equal(69, code)
    assert.truthy(message:find("ca_file", 1, true), message)
    assert.equal(200, assert(client:request { url = url, ca_file = dir.path .. "/cert" }).status)
    local other = ("https://localhost:%s/"):format(port) -- the right authority, the wrong name
    assert.equal(69, select(3, client:request { url = other, ca_file = dir.path .. "/cert", retry = quick }))
    tls:close()
  end)
end)
