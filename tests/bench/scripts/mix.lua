-- A mix of requests, the same in every run:  wrk … -s mix.lua URL -- ETAG
--
-- Of 100 requests 50 are hits (plain, gzip, br), 15 a user of some 10,000 with a short lifetime (misses mostly), 10
-- another page of the feed, 12 conditional with a current ETag, 6 to nowhere, 7 with a bad value.
local function kept(path, headers)
    local request
    return function()
        request = request or wrk.format("GET", path, headers)
        return request
    end
end

local function user() return wrk.format("GET", "/short/" .. math.random(1, 10000)) end

local function page() return wrk.format("GET", "/feeds?limit=20&skip=" .. math.random(0, 10000)) end

local lottery = {}

local function add(tickets, make)
    for _ = 1, tickets do lottery[#lottery + 1] = make end
end

function init(arguments)
    math.randomseed(1)
    local first = "/feeds?skip=0&limit=20"
    add(30, kept(first))
    add(10, kept(first, {["Accept-Encoding"] = "gzip"}))
    add(10, kept(first, {["Accept-Encoding"] = "br"}))
    add(15, user)
    add(10, page)
    add(12, kept(first, {["If-None-Match"] = arguments[1]}))
    add(6, kept("/nowhere"))
    add(7, kept("/feeds?limit=1000&skip=x"))
end

function request()
    return lottery[math.random(#lottery)]()
end
