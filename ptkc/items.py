"""The configuration items: one row each, and nowhere else. `docs/configuration.md` is made from them."""

from __future__ import annotations

from collections import namedtuple

__all__ = ["ITEMS", "Item"]

# name; kind: path, choice, flag, number, servers, serials or letters; values a choice may have, the least and the most
# of a number, the letters; default, None where it is computed; what the default is, for the reader; what the item
# means; what an invalid value does: "absent" (never another directory, another HSM or less protection than what was
# meant) or "default" (the item protects nothing). A name with `<serial>` is an item for each HSM.
Item = namedtuple("Item", "name kind values default default_text meaning invalid")

ITEMS = (
    Item(
        "ET_PTKC_SW_DATAPATH", "path", (), None, "`$XDG_DATA_HOME/ptkc`, else `~/.local/share/ptkc`",
        "Directory of the HSMs: one directory an HSM, named by its serial number.", "absent",
    ),
    Item(
        "ET_PTKC_SW_KEYPATH", "path", (), None,
        "`<data path>.keys` if `ET_PTKC_SW_DATAPATH` is set, else `$XDG_CONFIG_HOME/ptkc/keys`, "
        "else `~/.config/ptkc/keys`",
        "Directory of the key sources: one file an HSM, without which its data cannot be read. "
        "Keep it, and its backup, apart from the data.", "absent",
    ),
    Item(
        "ET_PTKC_SW_TRANSPORT", "choice", ("direct", "encoded"), "direct", "`direct`",
        "How commands reach an HSM in the same process: called, or encoded to bytes and decoded as over a wire. "
        "They differ in speed only; `encoded` is for tests.", "default",
    ),
    Item(
        "ET_PTKC_GENERAL_HIDE_ADMIN_SLOT", "flag", ("YES", "NO"), "NO", "`NO`",
        "Whether applications do not see the Admin slots: for those that log in to every token they find. "
        "The tools see them all the same.", "default",
    ),
    Item(
        "ET_PTKC_GENERAL_CERT_STORE", "path", (), None, "`$XDG_CONFIG_HOME/ptkc/certs`, else `~/.config/ptkc/certs`",
        "Directory of the client's certificate store, made with mode 0700: `Owner_POC.crt`, and `HSM_<serial>.crt` and "
        "`HSM_<serial>.csr` of each HSM. A client holds one owner's certificate: another owner, another directory.",
        "absent",
    ),
    Item(
        "ET_PTKC_LOGGER_FILE", "path", (), "", "none: nothing is logged",
        "Log file, made with mode 0600. Each refused call is one line: function, return code, and the attribute, field "
        "or file that was wrong; never a PIN, a key or data.", "default",
    ),
    Item(
        "ET_PTKC_LOGGER_MODE", "choice", ("refused", "bugs"), "refused", "`refused`",
        "What is logged: `refused` = refused calls, notes and bugs; `bugs` = notes and bugs only.", "default",
    ),
    Item(
        "ET_PTKC_<serial>_SMPR", "letters", tuple("SRENU"), "", "none",
        "Secure messaging policy register: what this client wants of the HSM with this serial number beyond what the "
        "HSM's security flags want. `S` requests are signed, `R` replies are signed, `E` requests with sensitive data "
        "are encrypted, `N` all is encrypted, `U` all is signed. It adds and never takes away.", "absent",
    ),
    Item(
        "ET_PTKC_SMS_NEW_HSMS", "serials", (), "", "none",
        "Serial numbers, separated by blanks, of HSMs across the network that have no identity certificate yet and may "
        "be used in clear until they have one, although this client holds its owner's certificate, which lets it "
        "believe nothing that is not proved. For the time in which an Administrator gives them their identities.",
        "default",
    ),
    Item(
        "ET_HSM_NETCLIENT_SERVERLIST", "servers", (), "", "none",
        "Servers whose HSMs this client uses, behind its own, separated by blanks: `host`, `host:port`, "
        "`[IPv6 address]:port` or `unix:/path`. The port is 12396 where none is said.", "default",
    ),
    Item(
        "ET_HSM_NETCLIENT_CONNECT_TIMEOUT", "number", (1, 300), "5", "5",
        "Seconds that connecting to a server, and agreeing on a channel with an HSM, may take; and how long a server "
        "that was not there is left alone.", "default",
    ),
    Item(
        "ET_HSM_NETCLIENT_READ_TIMEOUT", "number", (1, 3600), "120", "120",
        "Seconds that an answer of an HSM may take; the longest are those to the generation of long RSA keys.",
        "default",
    ),
    Item(
        "ET_HSM_NETCLIENT_HEARTBEAT", "number", (1, 3600), "30", "30",
        "Seconds after which a connection that was not used is tried before it is used again, and after which the "
        "system looks whether the other end of a silent one is still there.", "default",
    ),
    Item(
        "ET_HSM_NETCLIENT_CONNECTIONS", "number", (1, 64), "8", "8",
        "Connections that one application makes to one HSM at most, and with secure messaging the channels: so many "
        "calls can be under way at once, others wait.", "default",
    ),
    Item(
        "ET_HSM_NETSERVER_CONNECTIONS", "number", (1, 65536), "512", "512",
        "Connections that a server has at once.", "default",
    ),
    Item(
        "ET_HSM_NETSERVER_CLIENT_CONNECTIONS", "number", (1, 65536), "128", "128",
        "Connections that a server has at once with one client address (of IPv6, one /64), and applications that "
        "such a one has begun with one HSM.", "default",
    ),
    Item(
        "ET_HSM_NETSERVER_APPLICATIONS", "number", (1, 65536), "256", "256",
        "Applications that a server has at once with one HSM.", "default",
    ),
    Item(
        "ET_HSM_NETSERVER_SESSIONS", "number", (1, 1048576), "1024", "1024",
        "Sessions that one application has at once with one HSM of a server; more are `CKR_SESSION_COUNT`.", "default",
    ),
    Item(
        "ET_HSM_NETSERVER_MESSAGE", "number", (65536, 268439552), "67108864", "67108864",
        "Bytes that a request to a server may have, and that the session objects of one application may take "
        "together; a server takes 8 times as much of each at once.", "default",
    ),
    Item(
        "ET_HSM_NETSERVER_IDLE", "number", (10, 86400), "600", "600",
        "Seconds without a request after which a server closes a connection whose application has no session open.",
        "default",
    ),
    Item(
        "ET_HSM_NETSERVER_TRANSFER", "number", (1, 3600), "60", "60",
        "Seconds that a request may take to come in and a reply to go out, and that a server that stops waits "
        "for what is under way.", "default",
    ),
    Item(
        "ET_HSM_NETSERVER_LINGER", "number", (1, 86400), "60", "60",
        "Seconds that an application of a server lives on, with its sessions and logins, when it has no "
        "connection any more.", "default",
    ),
)  # fmt: skip
