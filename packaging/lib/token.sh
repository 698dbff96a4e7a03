# shellcheck shell=bash
# Bearer tokens (RFC 7519) signed with HS256, made of nothing but what every Debian has. To be sourced.
#
# The secret is never an argument of a program, where others could see it: HMAC (RFC 2104) is done by hand around
# sha256sum, and printf is the shell's own.

# token_pad SECRET BYTE: the secret, at most 64 bytes, with each of 64 bytes exclusive-or BYTE.
token_pad() {
    local place code LC_ALL=C
    for ((place = 0; place < 64; place++)); do
        code=0
        ((place >= ${#1})) || printf -v code %d "'${1:place:1}"
        printf -v code '\\x%02x' $((code ^ $2))
        # shellcheck disable=SC2059
        printf "$code"
    done
}

# The bytes that hexadecimal digits on stdin stand for.
token_bytes() {
    local digits
    read -r digits _
    # shellcheck disable=SC2059
    printf "$(sed 's/../\\x&/g' <<<"$digits")"
}

token_base64url() {
    base64 -w 0 | tr '+/' '-_' | tr -d '='
}

# token_make SECRET SUBJECT SECONDS: a token of that subject, good for so long. The subject needs no escapes in JSON.
token_make() {
    local secret=$1 now text
    now=$(date +%s)
    text=$(printf '{"alg":"HS256","typ":"JWT"}' | token_base64url)
    text+=.$(printf '{"sub":"%s","iat":%d,"exp":%d}' "$2" "$now" $((now + $3)) | token_base64url)
    printf '%s.%s\n' "$text" "$(
        {
            token_pad "$secret" 0x5c
            { token_pad "$secret" 0x36 && printf %s "$text"; } | sha256sum | token_bytes
        } | sha256sum | token_bytes | token_base64url
    )"
}
