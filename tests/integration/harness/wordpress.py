"""WordPress from Debian's package, as its owner would install it: in the browser."""

from . import application, forms

PACKAGES = ("wordpress", "wordpress-theme-twentytwentyone")
PASSWORD = "correct horse battery staple"
TITLE = "A blog & its “paddock”"


def place(docroot):
    application.copy("wordpress", "usr/share/wordpress", docroot, leave_out=(".htaccess", "wp-config.php"))
    application.copy("wordpress", "var/lib/wordpress/wp-content", docroot / "wp-content", leave_out=("languages",))
    application.copy("wordpress-theme-twentytwentyone", "usr/share/wordpress/wp-content", docroot / "wp-content")


def configure(site):
    """`site`: one with `docroot` and `database`, which is the database's user and password too."""
    page = site.browse("GET", "/wp-admin/setup-config.php?step=1").ok()
    page = forms.submit(site, page, "setup-config.php?step=2", dbname=site.database, uname=site.database,
                        pwd=site.database, dbhost="localhost")
    # What asks other hosts would make the answers depend on them, and what runs beside requests on the moment.
    define(site, WP_HTTP_BLOCK_EXTERNAL="true", DISABLE_WP_CRON="true")
    return page


def define(site, **values):
    """Constants at the beginning of its wp-config.php; values are PHP's."""
    config = site.docroot / "wp-config.php"
    lines = "".join(f"\ndefine('{name}', {value});" for name, value in values.items())
    config.write_text(config.read_text().replace("<?php", f"<?php{lines}", 1))


def install(site):
    page = site.browse("GET", "/wp-admin/install.php?step=1").ok()
    return forms.submit(site, page, "setup", weblog_title=TITLE, user_name="admin", admin_password=PASSWORD,
                        admin_password2=PASSWORD, admin_email="admin@example.invalid", pw_weak="on")
