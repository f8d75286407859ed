/* The vendor's extensions of Cryptoki (ProtectToolkit-C): the only place where the vendor's numbers are written.
 *
 * Interface facts only, so that programs written for the original run unchanged. Read line by line by
 * `native/constants.py`, as pkcs11.h is.
 */
#ifndef PTKC_VENDOR_H
#define PTKC_VENDOR_H

/* Token flags */
#define CKF_ADMIN_TOKEN             0x10000000UL

/* Return values */
#define CKR_PIN_ALREADY_INITIALIZED 0x80000108UL
#define CKR_DEVICE_RESET            0x80000386UL

#endif
