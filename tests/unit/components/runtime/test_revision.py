from components.runtime.revision import code_revision


def test_the_code_revision_names_the_source_and_not_the_byte_code():
    first = code_revision()
    code_revision.cache_clear()
    assert code_revision() == first
    assert len(first.split("+")[1]) == 12
