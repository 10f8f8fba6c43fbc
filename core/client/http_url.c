/* URLs by curl's own parser: see http_url.h. */
#if NEAP_HAS_CURL
#include "client/http_url.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

static CURLU *parse(const char *text)
{
    CURLU *url = curl_url();
    if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
        return url;
    curl_url_cleanup(url);
    return NULL;
}

const char *http_url_problem(const char *text)
{
    char *scheme = NULL;
    CURLU *url = parse(text);
    if (!url)
        return "invalid url";
    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    bool is_ours = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(url);
    return is_ours ? NULL : "unsupported protocol";
}

char *http_url_join(const char *base, const char *reference)
{
    char *joined = NULL;
    CURLU *url = parse(base);
    if (url && curl_url_set(url, CURLUPART_URL, reference, 0) == CURLUE_OK)
        curl_url_get(url, CURLUPART_URL, &joined, 0);
    curl_url_cleanup(url);
    return joined;
}

void http_url_free(char *url)
{
    curl_free(url);
}

static bool has_same(CURLU *a, CURLU *b, CURLUPart part)
{
    char *of_a = NULL, *of_b = NULL;
    curl_url_get(a, part, &of_a, CURLU_DEFAULT_PORT);
    curl_url_get(b, part, &of_b, CURLU_DEFAULT_PORT);
    bool is_same = of_a && of_b && strcasecmp(of_a, of_b) == 0;
    curl_free(of_a);
    curl_free(of_b);
    return is_same;
}

bool http_url_is_same_origin(const char *a, const char *b)
{
    CURLU *url_a = parse(a), *url_b = parse(b);
    bool is_same = url_a && url_b && has_same(url_a, url_b, CURLUPART_SCHEME) &&
                   has_same(url_a, url_b, CURLUPART_HOST) && has_same(url_a, url_b, CURLUPART_PORT);
    curl_url_cleanup(url_a);
    curl_url_cleanup(url_b);
    return is_same;
}
#endif
