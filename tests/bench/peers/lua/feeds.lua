-- GET /feeds inside nginx: one GET from Redis over a kept connection. A page is its ETag followed by the body.
local redis = require "nginx.redis"

local TAG_SIZE = 24

local connection = redis:new()
connection:set_timeout(100)
if not connection:connect("127.0.0.1", tonumber(ngx.var.redis_port)) then
    return ngx.exit(503)
end
local page = connection:get("page:" .. (ngx.var.arg_skip or "0") .. ":" .. (ngx.var.arg_limit or "20"))
connection:set_keepalive(60000, 64)
if not page or page == ngx.null then
    return ngx.exit(404)
end

local tag = page:sub(1, TAG_SIZE)
ngx.header["ETag"] = tag
ngx.header["Cache-Control"] = "no-cache"
if ngx.var.http_if_none_match == tag then
    -- Not ngx.exit(304): nginx's own answer for it has no ETag.
    ngx.status = 304
    ngx.send_headers()
    return ngx.exit(ngx.OK)
end
ngx.header["Content-Type"] = "application/json"
ngx.header["Content-Length"] = #page - TAG_SIZE
ngx.print(page:sub(TAG_SIZE + 1))
