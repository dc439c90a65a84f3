-- wrk's requests: a host of those that HOSTS names, and a mix of what sites do. The last line it prints is for a program.
local hosts = {}
for host in os.getenv("HOSTS"):gmatch("%S+") do table.insert(hosts, host) end
local form = string.rep("x", 20000)
local seed = tonumber(os.getenv("SEED"))

function init(args)
  math.randomseed(seed)
end

function request()
  local headers = {Host = hosts[math.random(#hosts)]}
  local kind = math.random(100)
  if kind <= 70 then return wrk.format("GET", "/hello.php", headers) end
  if kind <= 80 then return wrk.format("GET", "/dump.php?a=" .. kind, headers) end
  if kind <= 88 then return wrk.format("POST", "/digest.php", headers, form) end
  if kind <= 93 then return wrk.format("GET", "/large.php", headers) end
  if kind <= 98 then return wrk.format("GET", "/static.css", headers) end
  return wrk.format("GET", "/slow.php", headers)
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, errors.connect, errors.read, errors.write,
                      errors.status, errors.timeout))
end
