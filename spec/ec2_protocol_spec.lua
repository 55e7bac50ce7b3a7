-- What EC2 is spoken to by: signatures against those that AWS publishes, the query protocol, credentials where the aws
-- command finds them.

local credentials = require "rtlua.drivers.ec2_credentials"
local folder = require "spec.support.folder"
local http = require "rtlua.http"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local query = require "rtlua.drivers.ec2_query"
local signature = require "rtlua.drivers.ec2_signature"
local system = require "rtlua.system"
local unix = require "socket.unix"
local wire = require "spec.support.cloud.ec2_wire"

-- As AWS publishes them (Signature Version 4 test suite): the request, and what its signature is.
local SUITE = { access_key = "AKIDEXAMPLE", secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  region = "us-east-1", service = "service" }
local SESSION_TOKEN = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxf"
  .. "pSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU"
  .. "9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iS"
  .. "IlTJabIQwj2ICCR/oLxBA=="
local SUITE_DATE, SUITE_TIME = "20150830T123600Z", 1440938160
local AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
  .. "SignedHeaders=host;x-amz-date, Signature="
local VECTORS = {
  { "GET", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
  { "POST", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
  { "GET", "Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
}

describe("AWS's published signatures", function()
  it("are those that the double computes", function()
    for _, vector in ipairs(VECTORS) do
      local request = { method = vector[1], path = "/", raw_query = vector[2], body = "",
        headers = { host = "example.amazonaws.com", ["x-amz-date"] = SUITE_DATE } }
      assert.equal(vector[3], wire.signature(request, "host;x-amz-date", SUITE.secret_key, SUITE.region, SUITE.service))
    end
  end)
  it("are those that the driver computes", function()
    for i = 1, 2 do -- it sends no queries
      local request = { method = VECTORS[i][1], url = "https://example.amazonaws.com:443" }
      local headers = signature.sign(request, SUITE, SUITE.region, SUITE.service, SUITE_TIME)
      assert.equal(AUTHORIZATION .. VECTORS[i][3], headers.Authorization)
    end
  end)
  it("sign a session's token, too", function()
    local keys = { access_key = SUITE.access_key, secret_key = SUITE.secret_key, session_token = SESSION_TOKEN }
    local headers = signature.sign({ method = "POST", url = "https://example.amazonaws.com/" }, keys, SUITE.region,
      SUITE.service, SUITE_TIME)
    assert.matches("SignedHeaders=host;x%-amz%-date;x%-amz%-security%-token, "
      .. "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead$", headers.Authorization)
  end)
  it("are what rtlua.http sends", function()
    local dir <close> = folder.new()
    local listener = unix()
    assert(listener:bind(dir.path .. "/s"))
    assert(listener:listen(1))
    listener:settimeout(0)
    local client <close> = http.new()
    local transfer = client:start {
      url = "http://example.amazonaws.com/", unix_socket = dir.path .. "/s", headers = { ["X-Amz-Date"] = SUITE_DATE },
      sigv4 = SUITE, timeout = 10, retry = { attempts = 1 },
    }
    local connection
    loop.until_true(5, 0, function()
      client:wait(0.02)
      connection = listener:accept()
      return connection
    end)
    connection:settimeout(0)
    local head = ""
    loop.until_true(5, 0, function()
      client:wait(0.02)
      local data, _, part = connection:receive(65536)
      head = head .. (data or part)
      return head:find "\r\n\r\n"
    end)
    connection:close()
    listener:close()
    client:wait(1)
    transfer:cancel()
    assert.matches("\r\nAuthorization: " .. AUTHORIZATION .. VECTORS[1][3] .. "\r\n", head, 1, true)
  end)
end)

describe("the query protocol", function()
  it("names the elements of lists by their places", function()
    assert.equal("Filter.1.Name=tag-key&Filter.1.Value.1=a%20b%2F%C3%BC&Filter.1.Value.2=c&Force=true",
      query.encode { Filter = { { Name = "tag-key", Value = { "a b/ü", "c" } } }, Force = true })
  end)
  it("reads lists, empty elements, entities and text", function()
    local value, name = query.parse [[<?xml version="1.0" encoding="UTF-8"?>
      <A xmlns="x"><set><item><b>1 &lt; &#50; &amp; &#xfc;</b></item><item><b/></item></set><none/><c> d </c></A>]]
    assert.equal("A", name)
    assert.same({ set = { { b = "1 < 2 & ü" }, { b = "" } }, none = "", c = " d " }, value)
    assert.same({}, query.list(value.none))
  end)
  it("tells what is no XML", function()
    for _, text in ipairs { "", "no", "<a>", "<a></b>", "<a><b></a></b>", "</a>" } do
      assert.is_nil(query.parse(text), text)
    end
  end)
end)

-- What an instance and a container are answered by their surroundings, only to who brings what they ask for.
local METADATA = [[
local socket = require "socket"
local keys = '{"AccessKeyId":"%s","SecretAccessKey":"x/y","Token":"z","Expiration":"2099-01-01T00:00:00Z"}'
local ROLES = "/latest/meta%-data/iam/security%-credentials/"
local listener = assert(socket.bind("127.0.0.1", 0))
print((select(2, listener:getsockname())))
io.stdout:flush()
while true do
  local client = listener:accept()
  local head, line = "", nil
  repeat
    line = client:receive "*l"
    head = head .. (line or "") .. "\n"
  until not line or line == ""
  local body
  if head:find "^PUT /latest/api/token " and head:find "X%-aws%-ec2%-metadata%-token%-ttl%-seconds: %d" then
    body = "TOKEN"
  elseif head:find("^GET " .. ROLES .. " ") and head:find "X%-aws%-ec2%-metadata%-token: TOKEN\n" then
    body = "my-role"
  elseif head:find("^GET " .. ROLES .. "my%-role ") and head:find "X%-aws%-ec2%-metadata%-token: TOKEN\n" then
    body = keys:format "INSTANCE"
  elseif head:find "^GET /task " and head:find "Authorization: Basic abc\n" then
    body = keys:format "CONTAINER"
  end
  client:send(("HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(
    body and "200 OK" or "401 Unauthorized", #(body or ""), body or ""))
  client:close()
end
]]

describe("the credentials of EC2", function()
  local getenv = os.getenv
  local dir, environment

  before_each(function()
    environment = { HOME = "/nonexistent", AWS_EC2_METADATA_DISABLED = "true" }
    os.getenv = function(name) -- luacheck: ignore
      if name:match "^AWS_" or name == "HOME" then return environment[name] end
      return getenv(name)
    end
    dir = folder.new()
    environment.AWS_SHARED_CREDENTIALS_FILE = dir.path .. "/credentials"
    environment.AWS_CONFIG_FILE = dir.path .. "/config"
  end)
  after_each(function()
    os.getenv = getenv -- luacheck: ignore
    dir:remove()
  end)

  local function assert_failure(code, stage, pattern, f)
    local fine, problem = pcall(f)
    assert.is_false(fine)
    assert.matches(pattern, problem.message)
    assert.same({ code, stage }, { problem.code, problem.stage })
    return problem
  end
  local function keys()
    local found = credentials.new():get()
    return { found.access_key, found.secret_key, found.session_token }
  end

  it("are the environment's before all", function()
    dir:write("credentials", "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n")
    environment.AWS_ACCESS_KEY_ID, environment.AWS_SECRET_ACCESS_KEY = "ENV", "t"
    assert.same({ "ENV", "t" }, keys())
    environment.AWS_SESSION_TOKEN = "u"
    assert.same({ "ENV", "t", "u" }, keys())
    environment.AWS_SECRET_ACCESS_KEY = nil
    assert_failure(64, "check", "AWS_SECRET_ACCESS_KEY is not", keys)
  end)
  it("are the profile's, out of both files", function()
    dir:write("credentials", "# mine\n[default]\naws_access_key_id=A\naws_secret_access_key = b/c+d=\n[other]\n"
      .. "aws_access_key_id = O\naws_secret_access_key = p\naws_session_token = q\n")
    dir:write("config", "[default]\nregion = eu-west-1\n[profile other]\nregion=us-west-2\n"
      .. "endpoint_url = http://localhost:1\n[profile third]\naws_access_key_id = T\naws_secret_access_key = v\n"
      .. "s3 =\n  region = nowhere\n")
    assert.same({ "A", "b/c+d=" }, keys())
    assert.equal("eu-west-1", credentials.region())
    environment.AWS_PROFILE = "other"
    assert.same({ "O", "p", "q" }, keys())
    assert.equal("us-west-2", credentials.region())
    assert.same({ "http://localhost:1", "http://localhost:1" }, { credentials.endpoints() })
    environment.AWS_PROFILE = "third"
    assert.same({ "T", "v" }, keys())
    assert.is_nil(credentials.region())
    environment.AWS_DEFAULT_REGION = "us-east-2"
    assert.equal("us-east-2", credentials.region())
    environment.AWS_PROFILE = "othre"
    assert_failure(64, "check", "no profile 'othre' %(did you mean 'other'%?%): profiles are: default, other, third",
      keys)
  end)
  it("are what a process prints, and are asked for again before they end", function()
    local when = os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(system.time()) + 60)
    local script = dir:write("give it.sh", ([[echo x >>"$1"
      echo '{"Version":1,"AccessKeyId":"P","SecretAccessKey":"q","Expiration":"%s"}']]):format(when))
    local line = ("credential_process = sh '%s' \"%s/asked\""):format(script, dir.path)
    dir:write("config", "[default]\n" .. line .. "\n")
    local one = credentials.new()
    assert.equal("P", one:get().access_key)
    one:get()
    assert.equal("x\nx\n", dir:read "asked")
    dir:write("config", "[default]\ncredential_process = sh -c 'echo secret; exit 1'\n")
    local problem = assert_failure(69, "check", "credential_process of profile 'default' gives no keys", keys)
    assert.is_nil(problem.message:find "secret")
  end)
  it("that only AWS's own tool can fetch are said to be so", function()
    for field, what in pairs { role_arn = "assumes a role", sso_session = "signs in by SSO" } do
      dir:write("config", ("[profile work]\n%s = x\n"):format(field))
      environment.AWS_PROFILE = "work"
      assert_failure(64, "check", ("'work' %s.*export%%-credentials %%-%%-profile work"):format(what), keys)
    end
  end)
  it("are a container's, then an instance's, where there are no others", function()
    local server <close> = process.start { "lua5.4", "-e", METADATA, stdout = true }
    local port
    assert(loop.until_true(10, 0, function()
      port = (port or "") .. (server:read("stdout", 0.1) or "")
      return port:find "\n"
    end))
    local base = "http://127.0.0.1:" .. port:match "%d+"
    environment.AWS_EC2_METADATA_SERVICE_ENDPOINT = base .. "/"
    assert_failure(64, "check", "there are no AWS credentials", keys) -- it is disabled
    environment.AWS_EC2_METADATA_DISABLED = nil
    assert.same({ "INSTANCE", "x/y", "z" }, keys())
    environment.AWS_CONTAINER_CREDENTIALS_FULL_URI = base .. "/task"
    environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = dir:write("token", "Basic abc\n")
    assert.same({ "CONTAINER", "x/y", "z" }, keys())
  end)
  it("of a container go nowhere else", function()
    environment.AWS_CONTAINER_CREDENTIALS_FULL_URI = "http://example.org/keys"
    assert_failure(64, "check", "neither https nor this machine", keys)
  end)

  it("come with endpoints, AWS's own by one name", function()
    assert.same({}, { credentials.endpoints() })
    environment.AWS_ENDPOINT_URL = "http://all"
    assert.same({ "http://all", "http://all" }, { credentials.endpoints() })
    environment.AWS_ENDPOINT_URL_EC2 = "http://ec2"
    assert.same({ "http://ec2", "http://all" }, { credentials.endpoints() })
    environment.AWS_ENDPOINT_URL_STS = "http://sts"
    assert.same({ "http://ec2", "http://sts" }, { credentials.endpoints "http://ec2" })
    assert.same({}, { credentials.endpoints(query.PUBLIC) })
  end)
end)
