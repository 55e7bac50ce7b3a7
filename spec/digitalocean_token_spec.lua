-- Where the token for DigitalOcean comes from, and where it goes.

local clock = require "rtlua.drivers.clock"
local digitalocean = require "rtlua.drivers.digitalocean"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local token = require "rtlua.drivers.digitalocean_token"

local getenv = os.getenv
local environment

describe("the token for DigitalOcean", function()
  before_each(function()
    environment = { HOME = "/nonexistent" }
    for _, name in ipairs { "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN", "DIGITALOCEAN_API_URL", "XDG_CONFIG_HOME",
      "DIGITALOCEAN_CONTEXT" } do environment[name] = false end
    os.getenv = function(name) -- luacheck: ignore
      if environment[name] == nil then return getenv(name) end
      return environment[name] or nil
    end
  end)
  after_each(function() os.getenv = getenv end) -- luacheck: ignore

  it("is missing", function()
    local driver <close> = digitalocean.open { endpoint = "http://127.0.0.1:1" }
    local fine, problem = pcall(driver.check, driver)
    assert.is_false(fine)
    assert.equal("check: there is no token for DigitalOcean: set DIGITALOCEAN_ACCESS_TOKEN, or run: doctl auth init",
      problem.message)
    assert.equal(64, problem.code)
  end)
  it("comes from the environment, else from doctl's context", function()
    local dir <close> = folder.new()
    lfs.mkdir(dir.path .. "/doctl")
    dir:write("doctl/config.yaml", 'access-token: "one"\nauth-contexts:\n  work: two # mine\ncontext: work\nother: x\n')
    environment.XDG_CONFIG_HOME = dir.path
    assert.equal("two", token.find())
    environment.DIGITALOCEAN_CONTEXT = "default"
    assert.equal("one", token.find())
    environment.DO_API_TOKEN = "three"
    assert.equal("three", token.find())
    environment.DIGITALOCEAN_ACCESS_TOKEN = "four"
    assert.equal("four", token.find())
  end)
  it("has no control characters, and is not shown", function()
    environment.DIGITALOCEAN_ACCESS_TOKEN = "secret\nX-Evil: 1"
    local fine, problem = pcall(token.find)
    assert.is_false(fine)
    assert.equal(64, problem.code)
    assert.is_nil(problem.message:find "secret")
  end)
  it("goes nowhere in the clear", function()
    for _, url in ipairs { "http://api.example.org", "http://127.0.0.1.example.org", "http://localhost@example.org",
      "ftp://x", "https://a:b@example.org", "http://127.0.0.1\\@example.org", "https://x/?y=" } do
      assert.equal(64, select(2, pcall(token.endpoint, url)).code)
    end
    assert.equal("https://api.digitalocean.com", token.endpoint())
    assert.equal("http://127.0.0.1:8080", token.endpoint "http://127.0.0.1:8080/v2/")
    assert.equal("http://[::1]:8080", token.endpoint "http://[::1]:8080/")
  end)
  it("has a clock beside it", function()
    assert.equal(1606414680, clock.unix "2020-11-26T18:18:00Z")
    assert.equal(784111777, clock.unix "Sun, 06 Nov 1994 08:49:37 GMT")
    assert.is_nil(clock.unix "yesterday")
  end)
end)
