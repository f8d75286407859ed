import _libptkc

try:
    import ptkc

    if ptkc.__version__ != _libptkc.ffi.string(_libptkc.lib.ptkc_library_version()).decode():
        raise ImportError(f"{ptkc.__file__} is version {ptkc.__version__}, not the version of the shared object")
    from ptkc import provider
    import os

    os.register_at_fork(
        before=_libptkc.lib.ptkc_begin_loading,
        after_in_parent=_libptkc.lib.ptkc_end_loading,
        after_in_child=provider.after_fork_in_child,
    )
    provider.start()
except BaseException as error:
    chain = []
    while error is not None and len(chain) < 8:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f" ({where.tb_frame.f_code.co_filename}:{where.tb_lineno})" if where is not None else ""
        chain.append(f"{type(error).__name__}: {error}{place}")
        error = error.__cause__ or error.__context__
    _libptkc.lib.ptkc_log(_libptkc.ffi.new("char[]", ("Python did not start: " + "; from ".join(chain)).encode("utf-8", "replace")))
