"""Headless Chromium with two pages: what a person sees in two tabs."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.conftest import Server, free_port, wait_until

MakeServer = Callable[..., Server]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
missing = CHROMIUM is None or DRIVER is None

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        missing and not os.environ.get("CI"), reason="chromium and chromedriver are not installed"
    ),
    # selenium leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=900,700",
)


@pytest.fixture
def make_page(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], webdriver.Chrome]]:
    pages: list[webdriver.Chrome] = []

    def make(url: str) -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM or ""
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        page = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        pages.append(page)
        page.get(url)
        return page

    yield make
    for page in pages:
        page.quit()


def enter_name(page: webdriver.Chrome, name: str) -> None:
    field = page.find_element(By.CSS_SELECTOR, "#login input")
    field.send_keys(name, Keys.ENTER)


def text_of(page: webdriver.Chrome, selector: str) -> str:
    return page.find_element(By.CSS_SELECTOR, selector).text


def no_console_errors(page: webdriver.Chrome) -> bool:
    severe = [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
    return True


def test_two_pages_chat(
    make_server: MakeServer, make_page: Callable[[str], webdriver.Chrome]
) -> None:
    """Two browsers log in, see each other join, talk, and see the history after a reload."""
    server = make_server("chat")
    url = f"http://127.0.0.1:{server.port}/"
    ada, bob = make_page(url), make_page(url)
    enter_name(ada, "ada")
    wait_until(lambda: "ada joined" in text_of(ada, "#messages"), what="ada joined")
    enter_name(bob, "bob")
    for page in (ada, bob):
        wait_until(lambda page=page: "bob joined" in text_of(page, "#messages"), what="bob joined")
    bob.find_element(By.ID, "text").send_keys("hello <b>ada</b>", Keys.ENTER)
    for page in (ada, bob):
        wait_until(lambda page=page: "hello <b>ada</b>" in text_of(page, "#messages"))
    ada.refresh()
    wait_until(lambda: "hello <b>ada</b>" in text_of(ada, "#messages"), what="history")
    wait_until(lambda: text_of(ada, "#status") == "connected")
    bob.quit()
    wait_until(lambda: "bob left the chat" in text_of(ada, "#messages"), what="bob left")
    assert no_console_errors(ada)


def test_page_reconnects_after_a_restart(
    make_server: MakeServer, make_page: Callable[[str], webdriver.Chrome]
) -> None:
    """Kill and restart the server: the page reconnects by itself, still logged in."""
    port = free_port()
    server = make_server("chat", start=False).start(port)
    ada = make_page(f"http://127.0.0.1:{port}/")
    enter_name(ada, "ada")
    wait_until(lambda: text_of(ada, "#status") == "connected")
    server.stop(9)
    wait_until(lambda: text_of(ada, "#status") == "reconnecting")
    server.start(port)
    wait_until(lambda: text_of(ada, "#status") == "connected", what="reconnected")


def test_two_pages_edit_one_document(
    make_server: MakeServer, make_page: Callable[[str], webdriver.Chrome]
) -> None:
    """Two browsers type into one document; both end with the same text and see cursors."""
    server = make_server("documents")
    url = f"http://127.0.0.1:{server.port}/"
    ada, bob = make_page(url), make_page(url)
    enter_name(ada, "ada")
    wait_until(lambda: ada.find_element(By.ID, "shelf").is_displayed())
    ada.find_element(By.CSS_SELECTOR, "#create input").send_keys("plan", Keys.ENTER)
    wait_until(lambda: text_of(ada, "#status") == "version 1", what="ada has the document")
    enter_name(bob, "bob")
    wait_until(lambda: bob.find_elements(By.LINK_TEXT, "plan"), what="the list")
    bob.find_element(By.LINK_TEXT, "plan").click()
    wait_until(lambda: text_of(bob, "#status").startswith("version"), what="bob has the document")

    def value(page: webdriver.Chrome) -> str:
        return str(page.find_element(By.ID, "editor").get_property("value"))

    ada.find_element(By.ID, "editor").send_keys("Hello ")
    wait_until(lambda: value(bob) == "Hello ", what="ada's text at bob")
    bob.find_element(By.ID, "editor").send_keys(Keys.CONTROL, Keys.END)
    bob.find_element(By.ID, "editor").send_keys("world")
    ada.find_element(By.ID, "editor").send_keys(Keys.CONTROL, Keys.HOME)
    ada.find_element(By.ID, "editor").send_keys("# ")
    wait_until(lambda: value(ada) == value(bob) and len(value(ada)) == 13, what="both agree")
    assert sorted(value(ada)) == sorted("# Hello world")
    wait_until(
        lambda: ada.find_elements(By.CSS_SELECTOR, '#cursors i[data-name="bob"]'), what="a cursor"
    )
    assert text_of(ada, "#people").split() == text_of(bob, "#people").split() or set(
        text_of(ada, "#people").split()
    ) == {"ada", "bob"}
    bob.quit()
    wait_until(lambda: "bob" not in text_of(ada, "#people"), what="bob left")
    assert no_console_errors(ada)


def test_two_pages_notify(
    make_server: MakeServer, make_page: Callable[[str], webdriver.Chrome]
) -> None:
    """A notification pops up on the other user's page and stays read after a reload."""
    server = make_server("notifications")
    url = f"http://127.0.0.1:{server.port}/"
    ada = make_page(url)
    enter_name(ada, "ada")
    wait_until(lambda: text_of(ada, "#status") == "connected")
    bob = make_page(url)
    enter_name(bob, "bob")
    wait_until(lambda: "ada" in text_of(bob, "#notify select"), what="the list of users")
    bob.find_element(By.CSS_SELECTOR, "#notify input").send_keys("lunch?", Keys.ENTER)
    wait_until(lambda: "lunch?" in text_of(ada, "#list"), what="the notification")
    ada.find_element(By.CSS_SELECTOR, "#list button").click()
    client = server.client("ada")
    wait_until(lambda: client.get("/api/notifications")[1] == [], what="marked as read")
    assert client.post("/api/notifications", {"user_id": 1, "message": "dinner?"})[0] == 201
    ada.refresh()
    wait_until(lambda: "dinner?" in text_of(ada, "#list"), what="what is unread")
    assert "lunch?" not in text_of(ada, "#list")
    assert no_console_errors(ada)
