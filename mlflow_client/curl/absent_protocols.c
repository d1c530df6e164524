/* What a libcurl.a built with LDAP, RTMP and Kerberos wants from their libraries. LDAP and RTMP are never allowed (CURLOPT_PROTOCOLS_STR), so nothing
   here is called for them; a proxy that asks for Kerberos hears that there is none. */

#define GSS_UNAVAILABLE (16u << 16) /* GSS_S_UNAVAILABLE of RFC 2744 */

#define NO_KERBEROS(name) \
    unsigned name(void); \
    unsigned name(void) { return GSS_UNAVAILABLE; }
#define NEVER_CALLED(name) \
    int name(void); \
    int name(void) { return 0; }

extern void *const GSS_C_NT_HOSTBASED_SERVICE;
void *const GSS_C_NT_HOSTBASED_SERVICE = (void *)0;
NO_KERBEROS(gss_delete_sec_context)
NO_KERBEROS(gss_display_name)
NO_KERBEROS(gss_display_status)
NO_KERBEROS(gss_import_name)
NO_KERBEROS(gss_init_sec_context)
NO_KERBEROS(gss_inquire_context)
NO_KERBEROS(gss_release_buffer)
NO_KERBEROS(gss_release_name)
NO_KERBEROS(gss_unwrap)
NO_KERBEROS(gss_wrap)

NEVER_CALLED(RTMP_Alloc)
NEVER_CALLED(RTMP_Close)
NEVER_CALLED(RTMP_Connect1)
NEVER_CALLED(RTMP_ConnectStream)
NEVER_CALLED(RTMP_Free)
NEVER_CALLED(RTMP_Init)
NEVER_CALLED(RTMP_Read)
NEVER_CALLED(RTMP_SetBufferMS)
NEVER_CALLED(RTMP_SetupURL)
NEVER_CALLED(RTMP_Write)
NEVER_CALLED(ber_bvfree)
NEVER_CALLED(ber_free)
NEVER_CALLED(ber_memfree)
NEVER_CALLED(ber_memvfree)
NEVER_CALLED(ber_sockbuf_add_io)
NEVER_CALLED(ldap_abandon_ext)
NEVER_CALLED(ldap_err2string)
NEVER_CALLED(ldap_free_urldesc)
NEVER_CALLED(ldap_get_attribute_ber)
NEVER_CALLED(ldap_get_dn_ber)
NEVER_CALLED(ldap_get_option)
NEVER_CALLED(ldap_init_fd)
NEVER_CALLED(ldap_memfree)
NEVER_CALLED(ldap_msgfree)
NEVER_CALLED(ldap_msgtype)
NEVER_CALLED(ldap_parse_result)
NEVER_CALLED(ldap_parse_sasl_bind_result)
NEVER_CALLED(ldap_pvt_url_scheme2proto)
NEVER_CALLED(ldap_result)
NEVER_CALLED(ldap_sasl_bind)
NEVER_CALLED(ldap_search_ext)
NEVER_CALLED(ldap_set_option)
NEVER_CALLED(ldap_start_tls)
NEVER_CALLED(ldap_unbind_ext)
NEVER_CALLED(ldap_url_parse)
