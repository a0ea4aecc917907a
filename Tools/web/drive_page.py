"""Drives the web page of a running server in headless Chromium, as a person would.

Run:       python Tools/web/drive_page.py http://127.0.0.1:8080/ OUT_DIR [--mock] [--api-key K]
Needs:     selenium from PyPI, and Debian's chromium and chromium-driver
Writes:    OUT_DIR/*.png, screenshots to look at

Works against the real server and against mock_server.py. What an answer says does not matter, only
that it arrives, grows, stops and is shown. `--mock` adds the checks that need canned answers.
Ends with a plain count, and status 1 if a check failed.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

DESKTOP, PHONE, NARROW = (1360, 860), (390, 844), (360, 640)
# Answers that the page is meant to show, and that Chromium logs as errors all the same.
EXPECTED = ("status of 4", "status of 503")


class Page:
    """The page, the checks made of it, and how many held."""

    def __init__(self, options):
        settings = webdriver.ChromeOptions()
        settings.binary_location = options.chromium
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--lang=en-US",
            "--force-device-scale-factor=1",
            "--hide-scrollbars",
        ):
            settings.add_argument(argument)
        settings.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path=options.chromedriver)
        self.driver = webdriver.Chrome(options=settings, service=service)
        self.base, self.out, self.timeout = options.base_url, options.out_dir, options.timeout
        self.passed = self.failed = 0

    def check(self, holds, what):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
        print(("ok      " if holds else "FAILED  ") + what, flush=True)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def click(self, selector):
        self.find(selector).click()

    def wait(self, condition, what, timeout=None):
        """Waits until the condition holds; counts as a check."""
        try:
            WebDriverWait(self.driver, timeout or self.timeout, 0.05).until(lambda _: condition())
            self.check(True, what)
            return True
        except Exception as error:  # selenium's time-out, or an element that never came
            self.check(False, f"{what} ({type(error).__name__})")
            return False

    def size(self, width, height):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 2 if width < 500 else 1,
                "mobile": width < 500,
            },
        )
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 500})
        time.sleep(0.4)

    def shot(self, name):
        time.sleep(0.35)
        self.driver.save_screenshot(str(self.out / f"{name}.png"))

    def answer(self):
        """The text of the last answer, as text or as tokens."""
        return self.run("""const all = document.querySelectorAll('.message.assistant');
            const last = all[all.length - 1];
            return last ? [...last.querySelectorAll(':scope > .markdown, :scope > .tokens')]
                .map((part) => part.textContent).join('') : '';""")

    def streaming(self):
        return bool(self.all(".message.streaming"))

    def say(self, text):
        # Not send_keys: ChromeDriver types no characters beyond the basic plane.
        self.run(
            """const input = document.querySelector('#input'); input.focus();
            input.value = arguments[0]; input.dispatchEvent(new Event('input'));""",
            text,
        )
        self.find("#input").send_keys(Keys.ENTER)

    def finished(self, what):
        return self.wait(lambda: not self.streaming() and self.find("#send").is_displayed(), what)

    def clean(self, where):
        """Checks that the console is silent: no errors, no violations of the policy."""
        bad = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and not any(each in entry["message"] for each in EXPECTED)
        ]
        self.check(not bad, f"{where}: console without errors {bad[:3] if bad else ''}")

    def fits(self, where):
        width = self.run("return [document.documentElement.scrollWidth, innerWidth]")
        self.check(width[0] <= width[1], f"{where}: no sideways scrolling {width}")


def load(page, key):
    page.driver.get(page.base)
    page.run("localStorage.clear(); sessionStorage.clear()")
    page.driver.get(page.base)
    if key:
        page.wait(
            lambda: page.all("#banner:not([hidden]) button"), "a locked server asks for its key"
        )
        page.shot("00-locked")
        page.click("#banner button")
        page.find("#key").send_keys(key + Keys.ENTER)
        page.click("#settings-close")
    page.wait(lambda: page.all("#model option"), "the models are listed")
    page.check(page.find("#welcome").is_displayed(), "an empty page welcomes")
    policy = page.driver.execute_async_script("""const done = arguments[arguments.length - 1];
        fetch(location.href).then((each) => done(each.headers.get('Content-Security-Policy')));""")
    page.check(
        "default-src 'none'" in (policy or "") and "unsafe" not in policy,
        f"the content-security policy is strict: {policy}",
    )
    outside = page.run(
        "return performance.getEntriesByType('resource').map((each) => each.name)"
        ".filter((name) => !name.startsWith(location.origin) && !name.startsWith('data:'))"
    )
    page.check(outside == [], f"nothing is fetched from elsewhere {outside}")
    page.clean("load")
    page.shot("01-welcome")


def limit_answers(page):
    """A small model may never come to an end by itself."""
    page.click("#settings-open")
    field = page.find("input[name=max_tokens]")
    page.run("arguments[0].scrollIntoView({block: 'center'})", field)
    field.send_keys("160")
    page.click("#settings-close")


def converse(page):
    page.say("Explain in detail how a bird can sleep while it flies, and write a Swift function.")
    page.wait(lambda: len(page.answer()) > 0, "an answer begins")
    first = len(page.answer())
    page.wait(lambda: len(page.answer()) > first, "the answer grows while it streams")
    page.check(page.find("#stop").is_displayed(), "stop is offered meanwhile")
    page.shot("02-streaming")
    page.finished("the answer ends")
    page.check("tok" in page.find(".usage").text, f"usage is shown: {page.find('.usage').text}")
    page.shot("03-answer")

    page.say("Now write a very long story about two swifts, with many chapters.")
    grown = page.wait(lambda: len(page.answer()) > 20, "a second answer begins")
    if grown and page.find("#stop").is_displayed():
        page.click("#stop")
        page.finished("stop ends the answer")
        stopped = page.answer()
        time.sleep(0.6)
        page.check(page.answer() == stopped, "nothing arrives after a stop")
    page.shot("04-stopped")
    count = len(page.all(".message"))
    again = page.all("[data-do=again]")[-1]
    ActionChains(page.driver).move_to_element(again).perform()
    again.click()
    page.wait(lambda: page.streaming() or len(page.answer()) > 0, "regenerating begins")
    page.click("#stop") if page.find("#stop").is_displayed() else None
    page.finished("regenerating ends")
    page.check(len(page.all(".message")) == count, "the new answer took the old one's place")

    page.run(
        "document.querySelectorAll('.message.user .actions')[1]"
        ".querySelectorAll('button')[1].click()"
    )
    area = page.find(".edit-form textarea")
    area.clear()
    area.send_keys("Just say hello.")
    page.click(".edit-form .primary")
    page.wait(
        lambda: "Just say hello." in page.all(".message.user")[-1].text, "a question is edited"
    )
    page.finished("the edited question is answered")
    page.driver.refresh()
    page.wait(lambda: page.all(".conversation"), "conversations outlast a reload")
    page.click(".conversation .title")
    page.check(len(page.all(".message")) == count, "the reopened conversation is whole")
    page.clean("conversation")


def choose_adapter(page):
    names = [option.get_attribute("value") for option in page.all("#model option")]
    adapters = [
        option.get_attribute("value")
        for option in page.all("#model optgroup:nth-of-type(2) option")
    ]
    if not adapters:
        print(f"skipped adapters: the server lists only {names}")
        return
    page.click("#new-chat")
    Select(page.find("#model")).select_by_value(adapters[0])
    page.say("Hello, who are you?")
    page.finished("an adapter answers")
    page.check(
        page.find(".byline").text == adapters[0],
        f"the answer bears the adapter's name {adapters[0]}",
    )
    Select(page.find("#model")).select_by_value(names[0])


def look_at_tokens(page):
    page.click("#new-chat")
    page.click("#chances")
    page.say("How long do swifts stay in the air?")
    page.wait(lambda: len(page.all(".token")) > 3, "tokens are shown one by one")
    page.finished("the answer with log-probabilities ends")
    token = page.all(".token")[3]
    page.run("arguments[0].scrollIntoView({block: 'center'})", token)
    time.sleep(0.2)
    ActionChains(page.driver).move_to_element(token).perform()
    page.wait(lambda: page.find("#popover").is_displayed(), "hovering shows the alternatives")
    page.check("%" in page.find("#popover").text, "with percentages")
    page.shot("05-probabilities")
    page.run("arguments[0].focus({preventScroll: true})", token)
    before = page.find("#popover").text
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.wait(
        lambda: page.find("#popover").is_displayed() and page.find("#popover").text != before,
        "arrow keys go from token to token",
    )
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.check(not page.find("#popover").is_displayed(), "Escape closes the alternatives")
    page.run("document.querySelector('[data-do=tokens]').click()")
    page.check(not page.find(".tokens").is_displayed(), "the answer can be shown as text again")
    page.click("#chances")
    page.clean("probabilities")


def use_settings(page):
    page.click("#settings-open")
    page.check(page.find("#settings").is_displayed(), "settings open")
    page.find("input[name=max_tokens]").clear()
    page.find("input[name=max_tokens]").send_keys("12")
    page.find("#extra").send_keys("[1]")
    page.check(page.find("#extra-error").text != "", "a wrong JSON field is explained")
    page.find("#extra").clear()
    page.shot("06-settings")
    page.find("#adapter-name").send_keys("nothing-here")
    page.find("#adapter-path").send_keys("/missing/folder")
    page.run("document.querySelector('#adapter-form button').click()")
    page.wait(
        lambda: page.all("#adapter-result.problem"),
        "an adapter that is not there is refused, and why",
    )
    page.find("#adapter-path").send_keys(Keys.ESCAPE)
    page.check(not page.find("#settings").is_displayed(), "Escape closes settings")
    page.click("#new-chat")
    page.say("Count to one hundred.")
    page.finished("an answer of at most 12 tokens ends")
    page.click("#settings-open")
    page.run("document.querySelector('#reset').click()")
    page.check(
        page.find("input[name=max_tokens]").get_attribute("value") == "", "sampling is reset"
    )
    page.click("#settings-close")
    page.clean("settings")


def watch_engine(page):
    page.click("[data-show=engine]")
    page.wait(lambda: len(page.all("#tiles .tile")) >= 6, "the engine's figures arrive")
    page.check(
        "blocks" in (page.find("#map").get_attribute("aria-label") or ""),
        "the block map says what it shows",
    )
    polls = """return performance.getEntriesByType('resource')
        .filter((each) => each.name.endsWith('/engine')).length"""
    first = page.run(polls)
    time.sleep(2.5)
    page.check(page.run(polls) > first, "the engine is asked again and again")
    box = page.find("#map").rect
    ActionChains(page.driver).move_to_element_with_offset(
        page.find("#map"), int(-box["width"] / 2) + 4, int(-box["height"] / 2) + 4
    ).perform()
    page.wait(
        lambda: page.find("#map-reading").text != "", "a block under the pointer is described"
    )
    time.sleep(4)
    page.shot("07-engine")
    page.click("[data-show=chat]")
    time.sleep(1.2)
    first = page.run(polls)
    time.sleep(2)
    page.check(page.run(polls) == first, "nobody asks while nobody looks")
    page.clean("engine")


def change_looks(page):
    for _ in range(2):
        page.click("#theme")
    page.check(
        page.run("return document.documentElement.dataset.theme") == "dark",
        "the dark theme is chosen",
    )
    page.click("#language")
    page.check(page.find("#new-chat").text == "新对话", "the page speaks Chinese")
    page.check(page.run("return document.documentElement.lang") == "zh-CN", "and says so")
    page.run(
        "document.querySelectorAll('.conversation .title')[arguments[0]].click()",
        len(page.all(".conversation")) - 1,
    )
    page.shot("08-dark-chinese")
    page.click("[data-show=split]")
    time.sleep(2.5)
    page.fits("both panes")
    page.shot("09-dark-split")
    page.click("[data-show=engine]")
    page.shot("10-dark-engine")
    page.driver.refresh()
    page.wait(lambda: page.find("#new-chat").text == "新对话", "the language is remembered")
    page.check(
        page.run("return document.documentElement.dataset.theme") == "dark",
        "the theme is remembered",
    )


def use_phone(page):
    page.size(*PHONE)
    page.click("[data-show=chat]")
    page.shot("11-phone-welcome-dark")
    page.click("#menu")
    page.wait(lambda: page.find("#new-chat").is_displayed(), "the menu opens on a phone")
    page.shot("12-phone-menu-dark")
    page.run(
        "document.querySelectorAll('.conversation .title')[arguments[0]].click()",
        len(page.all(".conversation")) - 1,
    )
    page.shot("13-phone-chat-dark")
    page.fits("phone, chat")
    small = page.run("""return [...document.querySelectorAll('button, select')]
        .filter((each) => each.offsetParent && each.getBoundingClientRect().height < 32).length""")
    page.check(small == 0, f"nothing to touch is lower than 32 pixels ({small} are)")
    page.click("[data-show=engine]")
    time.sleep(2)
    page.fits("phone, engine")
    page.shot("14-phone-engine-dark")
    page.click("#menu")
    page.wait(lambda: page.find("#language").is_displayed(), "the menu opens beside the engine")
    time.sleep(0.4)
    page.click("#language")
    page.click("#theme")
    page.click("#theme")
    page.click("#sidebar-close")
    page.shot("15-phone-engine-light")
    page.click("[data-show=chat]")
    page.click("#settings-open")
    page.shot("16-phone-settings-light")
    page.fits("phone, settings")
    page.click("#settings-close")
    page.shot("17-phone-chat-light")
    page.size(*NARROW)
    page.fits("a phone of 360 pixels")
    page.shot("18-narrow")
    page.size(*DESKTOP)
    page.clean("phone")


def canned(page):
    """What needs the answers of the mock."""
    page.click("#new-chat")
    page.say("hostile")
    page.finished("a hostile answer ends")
    page.check(page.run("return window.hacked === undefined"), "no script in an answer runs")
    page.check(
        not page.run(
            "return document.querySelectorAll('#thread script, #thread iframe, #thread img, "
            "#thread a:not([href^=http])').length"
        ),
        "no markup in an answer becomes an element",
    )
    page.shot("20-hostile")
    page.clean("hostile")
    page.click("#new-chat")
    page.say("use a tool after you reason")
    page.finished("a tool call ends")
    page.check("杭州" in page.find(".call").text, "the call is shown")
    page.shot("21-tool")
    page.find(".call textarea").send_keys('{"celsius": 21}')
    page.click(".calls .primary")
    page.wait(lambda: len(page.answer()) > 20, "the tool's result is answered")
    page.finished("that answer ends")
    page.say("reason about it")
    page.finished("an answer with reasoning ends")
    page.click(".message:last-child .reasoning summary")
    page.shot("22-reasoning")
    page.say("refuse")
    page.finished("a refusal ends")
    page.check("9000" in page.all(".problem-box")[-1].text, "the server's reason is shown")
    page.say("busy")
    page.finished("a busy server ends")
    page.wait(
        lambda: "5 s" in page.all(".problem-box")[-1].text
        or "4 s" in page.all(".problem-box")[-1].text,
        "Retry-After counts down",
        3,
    )
    page.shot("23-problems")
    page.say("break")
    page.finished("a broken connection ends")
    page.check(page.all(".message:last-child .problem-box:not([hidden])") != [], "and is reported")
    page.driver.get_log("browser")
    count = len(page.all(".conversation"))
    page.click(".conversation .icon")
    page.check(len(page.all(".conversation")) == count, "one press deletes nothing")
    page.click(".conversation .icon")
    page.check(len(page.all(".conversation")) == count - 1, "two presses delete a conversation")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base_url")
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--mock", action="store_true", help="the server is mock_server.py")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--timeout", type=float, default=120, help="seconds to wait for an answer")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--chromedriver", default="/usr/bin/chromedriver")
    options = parser.parse_args()
    options.out_dir.mkdir(parents=True, exist_ok=True)
    page = Page(options)
    try:
        page.size(*DESKTOP)
        load(page, options.api_key)
        if not options.mock:
            limit_answers(page)
        for part in (converse, choose_adapter, look_at_tokens, use_settings, watch_engine):
            part(page)
        if options.mock:
            canned(page)
        change_looks(page)
        use_phone(page)
    except Exception as error:  # a part that could not be driven to its end is a failure too
        page.check(False, f"{type(error).__name__}: {str(error).splitlines()[0]}")
        page.shot("99-failure")
        print(json.dumps(page.driver.get_log("browser")[-5:], indent=1, ensure_ascii=False))
    finally:
        page.driver.quit()
    print(f"{page.passed} passed, {page.failed} failed")
    sys.exit(1 if page.failed else 0)


if __name__ == "__main__":
    main()
