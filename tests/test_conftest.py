import socket

from texts import documents


def test_another_machine_is_out_of_reach(no_network):
    with socket.socket() as sock:
        try:
            sock.connect(("192.0.2.1", 80))
        except OSError as error:
            assert "must not use the network" in str(error)
    assert no_network == [("192.0.2.1", 80)]
    no_network.clear()


def test_loopback_is_within_reach():
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def test_texts_have_the_size_asked_for_and_repeat(english_documents, chinese_documents):
    for language, texts in (("en", english_documents), ("zh", chinese_documents)):
        assert 30_000 <= sum(len(text.encode()) for text in texts) < 32_000
        assert texts == documents(language, 30_000)
        assert len(set(texts)) == len(texts)


def test_every_kind_of_tokenizer_gives_both_languages_back(
    tiny_tokenizer, english_documents, chinese_documents
):
    for text in (english_documents[0], chinese_documents[0]):
        assert tiny_tokenizer.decode(tiny_tokenizer.encode(text)) == text
