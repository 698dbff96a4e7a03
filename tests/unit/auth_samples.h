/*
 * Keys made for the tests alone, and a token {"sub":"7"} signed with each.
 */
#ifndef LARDER_TESTS_AUTH_SAMPLES_H
#define LARDER_TESTS_AUTH_SAMPLES_H

/* clang-format off */
#define RSA_TOKEN \
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3In0.JDGoAp8UHYTY4JObBbAD1BTb4CF" \
    "G0oclW5TrIoZuP2gJvVPdmPNBrOuEd2IXm4dhpztOndEuRbByHyP6NIKnwZ8b7HcuJkIk9VpfYzO6ZuR" \
    "1g2HihlWseog_TNydTfwqr1B_M15DYmKzSNv1qMiVXYMpIXLNssJRELQ5Vtnd-1_Y0nB43EZrjMDhfoO" \
    "pjmqTwFjEt-txZZYLq37ODZMjgHSYG_YS7XToM21gpLpx8DJ8DKLhny6Tdma51z1PjBtOeSHVXXL6TkI" \
    "kVErLS1Lhyyk1Die-NTugBwcohDbynib8mVY0aPrzzpKkqZemoFpV8RSUCXZBh6tD-trM3RvfFg"

#define RSA_PEM \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA7ev1t1jZkbP+nrsTXDvq\n" \
    "pMC43fOkP4ULrInp0lx0U/W+3Bx88uNaUDLnIOqmAYHjVxbRA6jxpBmB/9NEO1I6\n" \
    "hbmlElw4m1iF23ncUr+h97Dg70bzLjcvIK0IgzeZiIqm3Y9iXpZRoRRVPoLn70Nj\n" \
    "edFvqVrdqD8TDDcsr/34oaqrGmavOoQqcH2tkdjhgmhK2S7oyFguViw409boHZhU\n" \
    "aB+q/ap3QuW9QD/UFG7RNipJ73bW+5h2eV0jUTacGcjmxJT9Dhn6sMXDuE4iBrNw\n" \
    "2b2pmANBdWerSIapX+sHKrVTK2F1Zgd2Vbrc3iLvHmUSBUlJsTBqUGAkHRuOvpAp\n" \
    "MQIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"

#define EC_TOKEN \
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3In0.hLh7OvSo5EzHzEzbi3kgF_uGF_M" \
    "9m46yN1CpPTf0v03sUn8fDMHOvsWBlUx3q2fTuzlI4s3oeRwAiSKk4gzpeg"

#define EC_PEM \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZySUInrBAug40kXRKt6u7WCoorBW\n" \
    "sdwXeAuv3F6fi1DXgWpx4wJKIFq1fVGEV56xtJGxuT3rL2vW9KmVZKzkRA==\n" \
    "-----END PUBLIC KEY-----\n"

#define SMALL_PEM \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDsjdp20KphrS6rDPTrfwN6JCdt\n" \
    "qZ4wfzFxvh8uVcSQveWQ+H0vwRo79oB8BWQ1S9jAyhKFG7GqRGAhkX2txAj2lWHS\n" \
    "RoxUZhQTfEWaEDUA+vJT3rjUt9TGcKHwiXNv2hH79hRTsxGOGebsFn3xIb1PAlas\n" \
    "gPgx30xZ1JZRZbyOMwIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"

#define EC384_PEM \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEGhn8YHD1IAwADStKoAPsotC91yiYnke/\n" \
    "nlwlxuFI+njQiMi9YjwoiWqZHmVOe6V67xZC+48jwVWx9Rg6SOsEGhtkQ7wE3GPe\n" \
    "R7W+XCd1yvA2jHRaTobIvBBw23PpWZug\n" \
    "-----END PUBLIC KEY-----\n"

#define RSA_N \
    "7ev1t1jZkbP-nrsTXDvqpMC43fOkP4ULrInp0lx0U_W-3Bx88uNaUDLnIOqmAYHjVxbRA6jxpBmB_9NE" \
    "O1I6hbmlElw4m1iF23ncUr-h97Dg70bzLjcvIK0IgzeZiIqm3Y9iXpZRoRRVPoLn70NjedFvqVrdqD8T" \
    "DDcsr_34oaqrGmavOoQqcH2tkdjhgmhK2S7oyFguViw409boHZhUaB-q_ap3QuW9QD_UFG7RNipJ73bW" \
    "-5h2eV0jUTacGcjmxJT9Dhn6sMXDuE4iBrNw2b2pmANBdWerSIapX-sHKrVTK2F1Zgd2Vbrc3iLvHmUS" \
    "BUlJsTBqUGAkHRuOvpApMQ"

#define EC_X \
    "ZySUInrBAug40kXRKt6u7WCoorBWsdwXeAuv3F6fi1A"

#define EC_Y \
    "14FqceMCSiBatX1RhFeesbSRsbk96y9r1vSplWSs5EQ"
/* clang-format on */

#endif
