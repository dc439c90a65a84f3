"""The forms of a page, filled in and sent as a browser would."""

import html.parser
import os
import urllib.parse


class Forms(html.parser.HTMLParser):
    """Each form's attributes, and the fields that a browser would send if nobody touched it."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self._textarea = None
        self._select = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        name = attributes.get("name")
        if tag == "form":
            self.forms.append((attributes, {}))
        elif not self.forms:
            return
        elif tag == "option" and self._select:
            # The first, unless another is said to be selected.
            if "selected" in attributes or self._select not in self.forms[-1][1]:
                self.forms[-1][1][self._select] = attributes.get("value") or ""
        elif name and "disabled" not in attributes:
            fields = self.forms[-1][1]
            if tag == "input" and attributes.get("type") in ("checkbox", "radio"):
                if "checked" in attributes:
                    fields[name] = attributes.get("value", "on")
            elif tag == "input" and attributes.get("type") not in ("submit", "button", "image", "reset", "file"):
                fields[name] = attributes.get("value") or ""
            elif tag == "textarea":
                self._textarea = name
                fields[name] = ""
            elif tag == "select":
                self._select = name

    def handle_endtag(self, tag):
        if tag == "textarea":
            self._textarea = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data):
        if self._textarea:
            self.forms[-1][1][self._textarea] += data

    def find(self, identifier):
        """The form whose id, name, class or action is `identifier`."""
        for attributes, fields in self.forms:
            if identifier in (attributes.get(key) for key in ("id", "name", "class", "action")):
                return attributes, fields
        raise AssertionError(f"no form {identifier}: {[attributes for attributes, _ in self.forms]}")


def multipart(fields, name, filename, kind, content, boundary="----paddock"):
    """The body and headers of a form with one file."""
    body = b"".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
                    for field, value in fields.items())
    body += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
             f"Content-Type: {kind}\r\n\r\n").encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return {"body": body, "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"}}


def urlencoded(fields):
    """The body and headers of a form without one."""
    return {"body": urllib.parse.urlencode(fields), "headers": {"Content-Type": "application/x-www-form-urlencoded"}}


def target(page, attributes):
    """The path that a form of `page` is sent to."""
    parts = urllib.parse.urlsplit(urllib.parse.urljoin(page.path, attributes.get("action") or ""))
    return parts.path + (f"?{parts.query}" if parts.query else "")


def submit(site, page, form, without=(), **values):
    """Sends a form of `page` with `values` in it, less the fields `without`."""
    attributes, fields = Forms(page.text).find(form)
    fields = {name: value for name, value in {**fields, **values}.items() if name not in without}
    return site.browse("POST", target(page, attributes), **urlencoded(fields))


def upload(site, page, form, field, path, kind, **values):
    """Sends a form of `page` with the file `path` (pathlib.Path) in it."""
    attributes, fields = Forms(page.text).find(form)
    sent = multipart({**fields, **values}, field, os.path.basename(path), kind, path.read_bytes())
    return site.browse("POST", target(page, attributes), **sent)
