# fish completion for paddock(1)

# The tenants that the supervisor of this command line tells of; who may not ask gets no names.
function __paddock_tenants
    set -l where
    set -l words (commandline -opc)
    for i in (seq (count $words))
        if contains -- $words[$i] --config --socket; and set -q words[(math $i + 1)]
            set -a where $words[$i] $words[(math $i + 1)]
        end
    end
    paddock $where sockets 2>/dev/null | cut -f 1
end

set -l commands block check doctor events freeze import kill link policy reload restart rules shell sockets start status \
    stop thaw throttle token top unblock unthrottle usage vhost
set -l no_command "not __fish_seen_subcommand_from $commands"

complete -c paddock -f
complete -c paddock -s h -l help -d 'Show how it is used'
complete -c paddock -n $no_command -l version -d 'Show the version'
complete -c paddock -n $no_command -l config -r -F -d 'The config'
complete -c paddock -n $no_command -l socket -r -F -d 'The control socket'
complete -c paddock -n "__fish_seen_subcommand_from $commands" -l json -d 'Print JSON'

complete -c paddock -n $no_command -a block -d 'Kill a tenant\'s processes and refuse its requests'
complete -c paddock -n $no_command -a check -d 'Tell what is wrong with the config'
complete -c paddock -n $no_command -a doctor -d 'Tell what this machine lacks, and how to mend it'
complete -c paddock -n $no_command -a events -d 'Show what befell tenants, and what was done to them'
complete -c paddock -n $no_command -a freeze -d 'Halt all of a tenant\'s processes'
complete -c paddock -n $no_command -a import -d 'Write tenants and plans from another server\'s configuration'
complete -c paddock -n $no_command -a kill -d 'Kill all of a tenant\'s processes at once'
complete -c paddock -n $no_command -a link -d 'Make a way for a tenant into the dashboard'
complete -c paddock -n $no_command -a policy -d 'Look at seccomp profiles'
complete -c paddock -n $no_command -a reload -d 'Read the config again, or one tenant\'s part of it'
complete -c paddock -n $no_command -a restart -d 'Stop a sandbox, after its running requests, and start it'
complete -c paddock -n $no_command -a rules -d 'Show the abuse rules, or what they would have done'
complete -c paddock -n $no_command -a shell -d 'Work in a tenant\'s sandbox'
complete -c paddock -n $no_command -a sockets -d 'Print the tenants\' sockets'
complete -c paddock -n $no_command -a start -d 'Start a tenant\'s sandbox'
complete -c paddock -n $no_command -a status -d 'Show all tenants, or one and its running requests'
complete -c paddock -n $no_command -a stop -d 'Stop a sandbox, after its running requests'
complete -c paddock -n $no_command -a thaw -d 'Let a frozen tenant\'s processes go on'
complete -c paddock -n $no_command -a throttle -d 'Hold a tenant to another plan\'s limits'
complete -c paddock -n $no_command -a token -d 'Make a new token for the dashboard'
complete -c paddock -n $no_command -a top -d 'Show who uses the machine now, live'
complete -c paddock -n $no_command -a unblock -d 'Serve a blocked tenant again'
complete -c paddock -n $no_command -a unthrottle -d 'Hold a tenant to its own plan\'s limits again'
complete -c paddock -n $no_command -a usage -d 'Show what a tenant has used, or who has used most'
complete -c paddock -n $no_command -a vhost -d 'Print the web server\'s lines for a tenant'

complete -c paddock -n '__fish_seen_subcommand_from block events freeze kill link reload restart shell sockets start status stop thaw throttle unblock unthrottle usage vhost' -a '(__paddock_tenants)'

complete -c paddock -n '__fish_seen_subcommand_from block' -l reason -x -d 'Why'
complete -c paddock -n '__fish_seen_subcommand_from block throttle' -l until -x -d 'A duration or a time'
complete -c paddock -n '__fish_seen_subcommand_from throttle' -l plan -x -d 'The plan whose limits hold'
complete -c paddock -n '__fish_seen_subcommand_from events rules usage' -l since -x -d 'How long ago, or a time'
complete -c paddock -n '__fish_seen_subcommand_from events usage' -l limit -x -d 'At most so many'
complete -c paddock -n '__fish_seen_subcommand_from events' -s f -l follow -d 'Go on with those to come'
complete -c paddock -n '__fish_seen_subcommand_from events' -l snapshots -d 'Show what the tenant was doing, too'
complete -c paddock -n '__fish_seen_subcommand_from import; and not __fish_seen_subcommand_from fpm' -a fpm -d 'From PHP-FPM\'s pools'
complete -c paddock -n '__fish_seen_subcommand_from import; and __fish_seen_subcommand_from fpm' -F
complete -c paddock -n '__fish_seen_subcommand_from import' -l output -x -a '(__fish_complete_directories)' -d 'Directory for the files'
complete -c paddock -n '__fish_seen_subcommand_from import' -l replace -d 'Write over files that exist'
complete -c paddock -n '__fish_seen_subcommand_from policy; and not __fish_seen_subcommand_from explain learned' -a 'explain learned'
complete -c paddock -n '__fish_seen_subcommand_from policy; and __fish_seen_subcommand_from explain' -a 'default strict shell'
complete -c paddock -n '__fish_seen_subcommand_from policy; and __fish_seen_subcommand_from learned' -a '(__paddock_tenants)'
complete -c paddock -n '__fish_seen_subcommand_from rules' -a 'list replay'
complete -c paddock -n '__fish_seen_subcommand_from rules usage' -l by -x -a 'minute hour day' -d 'In steps of'
complete -c paddock -n '__fish_seen_subcommand_from token' -a 'admin metrics'
complete -c paddock -n '__fish_seen_subcommand_from top' -s b -l batch -d 'Print tables instead of drawing'
complete -c paddock -n '__fish_seen_subcommand_from top' -s d -l interval -x -d 'Seconds between two'
complete -c paddock -n '__fish_seen_subcommand_from top' -s n -l count -x -d 'So many, then end'
complete -c paddock -n '__fish_seen_subcommand_from top' -l sort -x -a 'cpu memory requests refused io busy pids name' -d 'By what'
complete -c paddock -n '__fish_seen_subcommand_from top' -l filter -x -d 'Only tenants with this in their name'
complete -c paddock -n '__fish_seen_subcommand_from usage' -l top -x -a 'cpu memory io requests refused network' -d 'Who has used most'
complete -c paddock -n '__fish_seen_subcommand_from vhost' -l server -x -a 'apache nginx' -d 'For which web server'
complete -c paddock -n '__fish_seen_subcommand_from vhost' -l name -x -d 'The site\'s name'
complete -c paddock -n '__fish_seen_subcommand_from vhost' -l docroot -x -a '(__fish_complete_directories)' -d 'Its document root'
