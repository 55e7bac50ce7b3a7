-- What a new machine is told by cloud-init: our keys, no passwords, one open port, the engine that was asked for.

local cjson = require "cjson"
local files = require "rtlua.files"
local folder = require "spec.support.folder"
local keys = require "rtlua.machine.keys"
local lfs = require "lfs"
local process = require "rtlua.process"
local user_data = require "rtlua.machine.user_data"

local dir, lease

local function make(options)
  local text = user_data.make(lease, options)
  local head, body = text:match "^(#cloud%-config\n)(.*)$"
  assert.equal("#cloud-config\n", head)
  return cjson.decode(body), text
end

before_each(function()
  dir = folder.new()
  lease = { name = "rtlua-abcdefghij", run = "abcdefghij", expires = 1790000000, marks = function() return {} end }
  function lease.folder() return dir.path .. "/machine" end
end)
after_each(function() dir:remove() end)

describe("a machine's keys", function()
  it("are made once, for us alone", function()
    local made = keys.make(lease)
    assert.matches("^ssh%-ed25519 %S+ rtlua%-abcdefghij$", made.public)
    assert.matches("^ssh%-ed25519 %S+$", made.host_public)
    assert.matches("^%x%x:[%x:]+%x%x$", made.fingerprints.md5)
    assert.equal(47, #made.fingerprints.md5)
    assert.matches("^SHA256:%S+$", made.fingerprints.sha256)
    assert.equal("rtlua-abcdefghij " .. made.host_public .. "\n", dir:read "machine/known_hosts")
    for name in lfs.dir(lease.folder()) do
      local path = lease.folder() .. "/" .. name
      if name:match "^%w" then assert.equal("rw-------", lfs.attributes(path, "permissions")) end
    end
    assert.same(made, keys.make(lease))
  end)
  it("are made anew where one was only begun", function()
    files.mkdir(lease.folder())
    dir:write("machine/id_ed25519", "half")
    assert.matches("^ssh%-ed25519 ", keys.make(lease).public)
    assert.is_true(#dir:read "machine/id_ed25519" > 300)
  end)
end)

describe("user data", function()
  local made
  before_each(function() made = keys.make(lease) end)

  it("brings the host key that we know and root's key, and no other way in", function()
    local d = make()
    assert.same({
      ed25519_private = dir:read "machine/host_ed25519", ed25519_public = dir:read "machine/host_ed25519.pub",
    }, d.ssh_keys)
    assert.same({ made.public }, d.ssh_authorized_keys)
    assert.same({ true, false, false }, { d.ssh_deletekeys, d.disable_root, d.ssh_pwauth })
    local sshd = d.write_files[1]
    assert.equal("/etc/ssh/sshd_config.d/00-rtlua.conf", sshd.path)
    assert.matches("PasswordAuthentication no\n", sshd.content, 1, true)
    assert.matches("HostKey /etc/ssh/ssh_host_ed25519_key\n", sshd.content, 1, true)
  end)
  it("holds no private login key", function()
    local _, text = make { engine = "apt", ends_itself = true }
    local secret = dir:read("machine/id_ed25519"):match "(%S+)\n%-%-%-%-%-END"
    assert.is_nil(text:find(secret, 1, true))
  end)
  it("opens a pool's private range alone, where it is asked for", function()
    local rules = make({}).bootcmd[1][3]
    assert.is_nil(rules:find "saddr")
    assert.matches("ip saddr 10.10.0.0/16 accept\n", make({ private_range = "10.10.0.0/16" }).bootcmd[1][3], 1, true)
    assert.equal(64, select(2, pcall(make, { private_range = "0.0.0.0/0 accept; #" })).code)
  end)
  it("installs the engine as it is told", function()
    assert.is_nil(make({}).runcmd)
    assert.is_nil(make({ engine = "image" }).runcmd)
    assert.matches("apt%-get .*docker%.io", make({ engine = "apt" }).runcmd[1][3])
    local command = make({ engine = "https://get.docker.com/" }).runcmd[1]
    assert.same({ "sh", "https://get.docker.com/" }, { command[4], command[5] })
    for _, wrong in ipairs { "http://get.docker.com/", "https://x/ y", "https://x/'", "snap", 7 } do
      local fine, problem = pcall(make, { engine = wrong })
      assert.is_false(fine)
      assert.same({ 64, "check" }, { problem.code, problem.stage })
    end
  end)
  it("makes the machine end itself, where that ends the bill", function()
    local paths = {}
    for _, file in ipairs(make({ ends_itself = true }).write_files) do paths[file.path] = file.content end
    assert.equal("1790000000\n", paths[user_data.EXPIRES])
    assert.matches('test "$(date +%s)" -lt "$(cat /etc/rtlua-expires)"', paths["/usr/local/sbin/rtlua-expire"], 1, true)
    assert.matches("ExecStart=/bin/sh /usr/local/sbin/rtlua-expire\n",
      paths["/etc/systemd/system/rtlua-expire.service"], 1, true)
    assert.equal(1, #make({}).write_files)
  end)
  it("fits into what providers take", function()
    local _, text = make { engine = "apt", private_range = "10.0.0.0/8", ends_itself = true }
    assert.is_true(#text < 16384, #text) -- EC2's limit
  end)
end)

describe("user data, by the programs that read it #real", function()
  before_each(function() keys.make(lease) end)

  it("is what cloud-init's schema allows", function()
    for _, options in ipairs { {}, { engine = "apt", ends_itself = true }, { engine = "https://get.docker.com/" } } do
      local _, text = make(options)
      local path = dir:write("document", text)
      local result = process.run { "cloud-init", "schema", "--config-file", path, check = true }
      assert.matches("Valid", result.stdout)
    end
  end)
  it("has a ruleset that nft takes, twice", function()
    local rules = dir:write("rules", make({ private_range = "10.0.0.0/8" }).bootcmd[1][3])
    local result = process.run {
      "unshare", "--net", "sh", "-e", "-c", 'sh -e "$1"; sh -e "$1"; nft list ruleset', "sh", rules, check = true,
    }
    assert.matches("hook input priority filter; policy drop", result.stdout)
    -- A container's published ports are forwarded, past what looks at input.
    assert.matches("hook forward priority filter %- 10; policy drop", result.stdout)
    assert.equal(1, select(2, result.stdout:gsub("tcp dport 22 accept", "")))
  end)
  it("has an sshd configuration that sshd takes", function()
    local config = make({}).write_files[1].content
    local path = dir:write("sshd_config", (config:gsub("/etc/ssh/%S+", lease.folder() .. "/host_ed25519")))
    local result = process.run { "/usr/sbin/sshd", "-T", "-f", path, check = true }
    assert.matches("\npasswordauthentication no\n", result.stdout)
    assert.matches("\npermitrootlogin without%-password\n", result.stdout)
  end)
end)
