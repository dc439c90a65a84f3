#!/usr/bin/perl
# A FastCGI script as mod_fcgid's users have them.
use strict;
use warnings;
use FCGI;

my $count = 0;
my $request = FCGI::Request();
while ($request->Accept() >= 0) {
    $count++;
    my $body = '';
    read(STDIN, $body, $ENV{CONTENT_LENGTH} || 0);
    print STDERR "perl says $count\n";
    print "Content-type: text/plain\r\n\r\n$$ $count $ENV{REQUEST_METHOD} $body";
}
