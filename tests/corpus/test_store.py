from wenmo.config import CorpusSettings
from wenmo.corpus.store import Manifest


def manifest(settings):
    return Manifest.model_construct(settings=settings)


def test_settings_without_effect_on_a_prepared_corpus_are_named_in_words():
    plain = manifest(CorpusSettings())
    assert plain.unheeded(CorpusSettings()) is None
    assert plain.unheeded(CorpusSettings(test_fraction=0.05)) is None
    said = plain.unheeded(CorpusSettings(test=("a.txt", "b.txt"), encoding="gb18030"))
    assert said is not None and "keeps its encoding none, test none;" in said
    held = manifest(CorpusSettings(test=("甲.txt", "b.txt")))
    assert "keeps its test 甲.txt b.txt;" in str(held.unheeded(CorpusSettings(test=())))
