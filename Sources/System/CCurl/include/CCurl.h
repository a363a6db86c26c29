// libcurl's variadic calls with fixed signatures: what Swift can call. Nothing else is added.
#pragma once

#include <curl/curl.h>
#include <stddef.h>

// curl_easy_setopt
CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value);
CURLcode ccurl_set_offset(CURL *easy, CURLoption option, curl_off_t value);
CURLcode ccurl_set_string(CURL *easy, CURLoption option, const char *value);
CURLcode ccurl_set_error_buffer(CURL *easy, char *buffer /* CURL_ERROR_SIZE bytes */);

CURLcode ccurl_set_list(CURL *easy, CURLoption option, struct curl_slist *list);

typedef size_t (*ccurl_read)(char *bytes, size_t size, size_t count, void *context);
CURLcode ccurl_on_read(CURL *easy, ccurl_read call, void *context);
typedef size_t (*ccurl_write)(char *bytes, size_t size, size_t count, void *context);
typedef curl_socket_t (*ccurl_open_socket)(void *context, curlsocktype purpose, struct curl_sockaddr *address);
typedef int (*ccurl_prerequest)(void *context, char *remote_address, char *local_address, int remote_port, int local_port);
typedef int (*ccurl_progress)(
    void *context, curl_off_t down_total, curl_off_t down_now, curl_off_t up_total, curl_off_t up_now);
CURLcode ccurl_on_write(CURL *easy, ccurl_write call, void *context);
CURLcode ccurl_on_open_socket(CURL *easy, ccurl_open_socket call, void *context);
CURLcode ccurl_on_prerequest(CURL *easy, ccurl_prerequest call, void *context);
CURLcode ccurl_on_progress(CURL *easy, ccurl_progress call, void *context);

// curl_easy_getinfo; 0 or NULL when there is nothing.
long ccurl_info_long(CURL *easy, CURLINFO info);
curl_off_t ccurl_info_offset(CURL *easy, CURLINFO info);
const char *ccurl_info_string(CURL *easy, CURLINFO info);

// curl_multi_setopt
typedef int (*ccurl_socket)(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context);
typedef int (*ccurl_timer)(CURLM *multi, long milliseconds, void *context);
CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value);
CURLMcode ccurl_multi_on_socket(CURLM *multi, ccurl_socket call, void *context);
CURLMcode ccurl_multi_on_timer(CURLM *multi, ccurl_timer call, void *context);

// The next transfer that has ended, and how; NULL when there is none.
CURL *ccurl_multi_next_ended(CURLM *multi, CURLcode *result);
