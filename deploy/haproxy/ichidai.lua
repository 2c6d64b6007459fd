-- Asks Ichidai about a request, for HAProxy 2.6: see forward-auth.cfg, which says in txn.ichidai where the session app
-- listens.
--
-- Of a good answer it sets txn.user_uuid, txn.session_id, txn.device_id and, last, txn.session_status. What was refused is
-- answered here, as Ichidai answered it.

local NAMES = { ["x-user-uuid"] = "txn.user_uuid", ["x-session-id"] = "txn.session_id", ["x-device-id"] = "txn.device_id" }
local TOLD = { "content-type", "www-authenticate", "dpop-nonce", "x-session-reason", "x-request-id", "retry-after", "cache-control" }

-- Answers with Ichidai's status, its headers that are for the client, and its body.
local function answer(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for _, name in ipairs(TOLD) do
        for _, value in pairs(headers[name] or {}) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(body or "")
    txn:done(reply)
end

core.register_action("ichidai", { "http-req" }, function(txn)
    local asked = { ["x-forwarded-for"] = { txn.f:src() } }
    for _, name in ipairs({ "authorization", "accept-language" }) do
        local given = txn.http:req_get_headers()[name]
        if given then
            asked[name] = {}
            for _, value in pairs(given) do
                table.insert(asked[name], value)
            end
        end
    end
    local found = core.httpclient():get({ url = txn:get_var("txn.ichidai") .. "/session/verify", headers = asked, timeout = 3000 })
    local status = found and found.status or 0
    if status == 200 then
        for header, name in pairs(NAMES) do
            txn:set_var(name, found.headers[header][0])
        end
        txn:set_var("txn.session_status", status)
    elseif status >= 400 and status < 500 or status == 503 and found.headers["retry-after"] then
        answer(txn, status, found.headers, found.body)
    else
        answer(txn, 503, { ["retry-after"] = { "2" } })
    end
end)
