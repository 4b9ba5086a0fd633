"""What a person does with a page, and what changes by it."""

import re
import time

PAGES = {
    "": "Runs",
    "training": "Training",
    "latents": "Latents",
    "critic": "Critic",
    "two_dimensions": "Two dimensions",
    "study": "Study",
}
# A picture that each page shows when it has loaded.
FIRST = {
    "": "#cards img",
    "training": "#samples img",
    "latents": "#picture img",
    "critic": "#slope img",
    "two_dimensions": "#plane img",
    "study": "#samples img",
}


def visit(page, address, path, run=None):
    """Opens a page, and waits for its first picture."""
    page.goto(f"{address}{path}" + (f"?run={run}" if run else ""))
    page.wait_for_selector(FIRST[path])
    page.wait_for_timeout(300)  # what came with the picture is shown
    return page


def source(page, selector):
    """What a picture is now: its address is made of its content."""
    return page.evaluate("s => document.querySelector(s)?.src", selector)


def changes(page, selector, action):
    """Does something, and waits until the picture is another: seconds."""
    before = source(page, selector)
    begun = time.perf_counter()
    action()
    page.wait_for_function(
        """([selector, before]) => {
            const image = document.querySelector(selector);
            return image && image.src !== before && image.complete
                && image.naturalWidth > 0;
        }""",
        arg=[selector, before],
        polling=10,
    )
    return time.perf_counter() - begun


def says(page, selector, words):
    """Waits until a part of the page has words that match."""
    page.wait_for_function(
        """([selector, words]) => {
            const part = document.querySelector(selector);
            return part && new RegExp(words).test(part.innerText + part.textContent);
        }""",
        arg=[selector, words],
    )
    return page.inner_text(selector)


def press(page, slider, key="ArrowRight"):
    """Moves a slider by a key."""
    page.locator(f"#{slider} input[type=range]").focus()
    page.keyboard.press(key)


def choose(page, place, text):
    """Chooses one of some buttons by what it says."""
    page.locator(f"#{place} label", has_text=re.compile(f"^\\s*{text}\\s*$")).click()


def pick(page, place, text):
    """Chooses from a list that opens."""
    page.locator(f"#{place} input").click()
    page.get_by_role("option", name=text, exact=True).click()
