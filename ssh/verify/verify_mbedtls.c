/* SPDX-License-Identifier: MIT */
/*
 * ECDSA and RSA by mbedTLS, versions 2.28 and 3.6. Both are asked for the bare check of numbers, so
 * that no other encoding of keys or signatures is ever parsed.
 */
#include "verify_int.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/md.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>

/* Less is within reach of who pays for it; libssh lets nobody in with less either. */
#define RSA_BITS_MIN 2048u
/* A larger exponent has no purpose but to take our time. */
#define RSA_EXPONENT_BITS_MAX 64u

static enum ph_status verdict(int rc)
{
	if (rc == 0)
		return PH_OK;
	if (rc == MBEDTLS_ERR_MPI_ALLOC_FAILED || rc == MBEDTLS_ERR_ECP_ALLOC_FAILED)
		return PH_ERR_NOMEM;
	return PH_ERR_DENIED;
}

static enum ph_status digest(mbedtls_md_type_t type, struct ph__piece message, uint8_t *out)
{
	const mbedtls_md_info_t *info = mbedtls_md_info_from_type(type);

	if (!info)
		return PH_ERR_UNSUPPORTED;
	return mbedtls_md(info, message.data, message.len, out) == 0 ? PH_OK : PH_ERR_NOMEM;
}

enum ph_status ph__verify_sha256(struct ph__piece message, uint8_t out[32])
{
	return digest(MBEDTLS_MD_SHA256, message, out);
}

/* A number that is not negative, in its shortest form; zero is none that is signed with. */
static bool is_positive(struct ph__piece number)
{
	return number.len > 0 && !(number.data[0] & 0x80) &&
	       (number.data[0] != 0 || (number.len > 1 && (number.data[1] & 0x80)));
}

/* ---- ECDSA ---- */

static int check_ecdsa(mbedtls_ecp_group_id id, struct ph__piece point, struct ph__piece r_bytes,
                       struct ph__piece s_bytes, const uint8_t *hash, size_t hash_len)
{
	mbedtls_ecp_group group;
	mbedtls_ecp_point key;
	mbedtls_mpi r, s;
	int rc;

	mbedtls_ecp_group_init(&group);
	mbedtls_ecp_point_init(&key);
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	rc = mbedtls_ecp_group_load(&group, id);
	if (rc == 0)
		rc = mbedtls_ecp_point_read_binary(&group, &key, point.data, point.len);
	if (rc == 0)
		rc = mbedtls_ecp_check_pubkey(&group, &key);
	if (rc == 0)
		rc = mbedtls_mpi_read_binary(&r, r_bytes.data, r_bytes.len);
	if (rc == 0)
		rc = mbedtls_mpi_read_binary(&s, s_bytes.data, s_bytes.len);
	if (rc == 0)
		rc = mbedtls_ecdsa_verify(&group, hash, hash_len, &key, &r, &s);
	mbedtls_mpi_free(&s);
	mbedtls_mpi_free(&r);
	mbedtls_ecp_point_free(&key);
	mbedtls_ecp_group_free(&group);
	return rc;
}

enum ph_status ph__verify_ecdsa(enum ph__verify_curve curve, struct ph__piece point,
                                struct ph__piece r, struct ph__piece s, struct ph__piece message)
{
	/* RFC 5656, 6.2.1: the hash goes by the curve. */
	static const struct {
		mbedtls_ecp_group_id id;
		mbedtls_md_type_t md;
		size_t bytes, hash_len;
	} curves[] = {
	        [PH__CURVE_P256] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_MD_SHA256, 32, 32},
	        [PH__CURVE_P384] = {MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_MD_SHA384, 48, 48},
	        [PH__CURVE_P521] = {MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_MD_SHA512, 66, 64},
	};
	uint8_t hash[64];
	size_t bytes = curves[curve].bytes;
	enum ph_status status;

	if (point.len != 1 + 2 * bytes || point.data[0] != 4 || !is_positive(r) ||
	    !is_positive(s) || r.len > bytes + 1 || s.len > bytes + 1)
		return PH_ERR_DENIED;
	status = digest(curves[curve].md, message, hash);
	if (status != PH_OK)
		return status;
	return verdict(check_ecdsa(curves[curve].id, point, r, s, hash, curves[curve].hash_len));
}

/* ---- RSA ---- */

static int load_rsa(mbedtls_rsa_context *rsa, struct ph__piece e, struct ph__piece n)
{
	int rc = mbedtls_rsa_import_raw(rsa, n.data, n.len, NULL, 0, NULL, 0, NULL, 0, e.data,
	                                e.len);

	if (rc == 0)
		rc = mbedtls_rsa_complete(rsa);
	return rc == 0 ? mbedtls_rsa_check_pubkey(rsa) : rc;
}

static int check_rsa(mbedtls_rsa_context *rsa, mbedtls_md_type_t md, unsigned hash_len,
                     const uint8_t *hash, const uint8_t *signature)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_rsa_rsassa_pkcs1_v15_verify(rsa, NULL, NULL, MBEDTLS_RSA_PUBLIC, md,
	                                           hash_len, hash, signature);
#else
	return mbedtls_rsa_rsassa_pkcs1_v15_verify(rsa, md, hash_len, hash, signature);
#endif
}

enum ph_status ph__verify_rsa(struct ph__piece e, struct ph__piece n, struct ph__piece signature,
                              bool sha512, struct ph__piece message)
{
	mbedtls_md_type_t md = sha512 ? MBEDTLS_MD_SHA512 : MBEDTLS_MD_SHA256;
	mbedtls_rsa_context rsa;
	uint8_t hash[64];
	enum ph_status status;
	int rc;

	if (!is_positive(e) || !is_positive(n) || e.len > RSA_EXPONENT_BITS_MAX / 8)
		return PH_ERR_DENIED;
	/* The zero that keeps it positive. */
	if (n.data[0] == 0)
		n = (struct ph__piece){n.data + 1, n.len - 1};
	if (n.len < RSA_BITS_MIN / 8 || n.len > MBEDTLS_MPI_MAX_SIZE)
		return PH_ERR_UNSUPPORTED;
	if (signature.len != n.len)
		return PH_ERR_DENIED;
	status = digest(md, message, hash);
	if (status != PH_OK)
		return status;
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	mbedtls_rsa_init(&rsa, MBEDTLS_RSA_PKCS_V15, 0);
#else
	mbedtls_rsa_init(&rsa);
#endif
	rc = load_rsa(&rsa, e, n);
	if (rc == 0)
		rc = check_rsa(&rsa, md, sha512 ? 64 : 32, hash, signature.data);
	mbedtls_rsa_free(&rsa);
	return verdict(rc);
}
