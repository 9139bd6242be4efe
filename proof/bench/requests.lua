-- The requests of wrk: wrk -s requests.lua URL -- KIND FILE
--   get      a plain GET
--   token    a GET with the access tokens of the file, in turn
--   parent   like token, with the second text of each line in place of * in the path
--   create   a POST of a note with the access tokens of the file, in turn
--   refresh  a POST with the refresh tokens of the file; each response replaces the used token
--   login    a POST with the file as its body
local requests, next_one = {}, 0

function post(token)
  return wrk.format("POST", nil, { Authorization = "Bearer " .. token })
end

function read(path, token)
  return wrk.format("GET", path, { Authorization = "Bearer " .. token })
end

function create(token)
  local headers = { Authorization = "Bearer " .. token, ["Content-Type"] = "application/json" }
  return wrk.format("POST", nil, headers, '{"body": "Buy milk\\nand bread"}')
end

function init(arguments)
  local kind, file = arguments[1], arguments[2]
  if kind == "login" then
    local body = io.open(file):read("*a")
    requests[1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, body)
  elseif kind == "get" then
    requests[1] = wrk.format("GET")
  else
    for access, refresh in io.open(file):read("*a"):gmatch('%["([^"]+)", "([^"]+)"%]') do
      requests[#requests + 1] = kind == "refresh" and post(refresh)
        or kind == "create" and create(access)
        or kind == "parent" and read((wrk.path:gsub("*", refresh)), access)
        or read(nil, access)
    end
  end
  if kind == "refresh" then
    function request()
      return table.remove(requests, 1)
    end
    function response(_, _, body)
      requests[#requests + 1] = post(body:match('"refresh_token":"([^"]+)"'))
    end
  else
    function request()
      next_one = next_one % #requests + 1
      return requests[next_one]
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
