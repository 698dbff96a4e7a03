#include "base/hash.h"

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(struct state *state)
{
    state->a += state->b;
    state->b = rotate(state->b, 13) ^ state->a;
    state->a = rotate(state->a, 32);
    state->c += state->d;
    state->d = rotate(state->d, 16) ^ state->c;
    state->a += state->d;
    state->d = rotate(state->d, 21) ^ state->a;
    state->c += state->b;
    state->b = rotate(state->b, 17) ^ state->c;
    state->c = rotate(state->c, 32);
}

static void word_add(struct state *state, uint64_t word)
{
    state->d ^= word;
    mix(state);
    state->a ^= word;
}

uint64_t hash_of(const struct hash_key *key, struct span data)
{
    struct state state = {
        key->words[0] ^ UINT64_C(0x736f6d6570736575), key->words[1] ^ UINT64_C(0x646f72616e646f6d),
        key->words[0] ^ UINT64_C(0x6c7967656e657261), key->words[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t word;
    size_t at = 0;
    for (; data.size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, data.data + at, sizeof word);
        word_add(&state, word);
    }
    word = (uint64_t)data.size << 56;
    for (size_t i = 0; at + i < data.size; i++)
        word |= (uint64_t)(unsigned char)data.data[at + i] << (8 * i);
    word_add(&state, word);
    state.c ^= 0xff;
    mix(&state);
    mix(&state);
    mix(&state);
    return state.a ^ state.b ^ state.c ^ state.d;
}
