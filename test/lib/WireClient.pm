# A client that speaks the extended protocol itself, message by message: named and
# unnamed statements, parameters with and without types, in text and binary, portals that are
# fetched from a few rows at a time. psql sends none of it before 16, and never all.
#
#	my $client = WireClient->new($node, 'postgres');
#	$client->query('SET …');						the simple protocol; dies on an error
#	$client->parse('name', $sql, @type_oids);		0 leaves the type to the server
#	$client->bind('portal', 'name', @parameters);	text, undef for NULL, or [$bytes] for binary
#	my $answer = $client->fetch('portal', $limit);	0 for all
#	$client->sync;
#
# parse and bind return an error or undef. An answer has {rows}, each a list of texts,
# {more}, set if the limit was met, and {error}, a SQLSTATE and a message. After an error
# nothing is done until sync.
package WireClient;

use strict;
use warnings;
use IO::Socket::UNIX;

sub new
{
	my ($class, $node, $database) = @_;
	my $socket = IO::Socket::UNIX->new($node->host . '/.s.PGSQL.' . $node->port) or die "cannot connect: $!";
	my $self = bless { socket => $socket }, $class;
	my $user = getpwuid($>);
	my $start = pack('N', 196608) . "user\0$user\0database\0$database\0\0";

	$socket->blocking(1);
	print $socket pack('N', 4 + length $start) . $start;
	$socket->flush;
	$self->read_until('Z');
	return $self;
}

sub send_message
{
	my ($self, $type, $body) = @_;
	my $socket = $self->{socket};
	print $socket $type . pack('N', 4 + length $body) . $body;
}

sub read_bytes
{
	my ($self, $n) = @_;
	my $bytes = '';
	while (length $bytes < $n)
	{
		read($self->{socket}, $bytes, $n - length $bytes, length $bytes) or die "the server went away";
	}
	return $bytes;
}

# Reads messages until one of a type that is asked for, and returns it; notes rows and errors.
sub read_until
{
	my ($self, $types) = @_;
	local $SIG{ALRM} = sub { die "no answer from the server" };
	alarm($PostgreSQL::Test::Utils::timeout_default);
	$self->{socket}->flush;
	$self->{rows} = [];
	$self->{error} = undef;
	for (;;)
	{
		my ($type, $length) = unpack('aN', $self->read_bytes(5));
		my $body = $self->read_bytes($length - 4);
		if ($type eq 'D')
		{
			my ($n, $at) = (unpack('n', $body), 2);
			my @row;
			for (1 .. $n)
			{
				my $size = unpack('l>', substr($body, $at, 4));
				push @row, $size < 0 ? undef : substr($body, $at + 4, $size);
				$at += 4 + ($size < 0 ? 0 : $size);
			}
			push @{ $self->{rows} }, \@row;
		}
		if ($type eq 'E')
		{
			my %field = map { (substr($_, 0, 1), substr($_, 1)) } grep { length } split /\0/, $body;
			$self->{error} = "$field{C}: $field{M}";
		}
		if (index($types, $type) >= 0)
		{
			alarm(0);
			return $type;
		}
	}
}

sub query
{
	my ($self, $sql) = @_;
	$self->send_message('Q', "$sql\0");
	$self->read_until('Z');
	die "$sql: $self->{error}" if defined $self->{error};
	return $self->{rows};
}

# Sends what is to be done and Flush, so that an answer comes without an end of the transaction.
sub demand
{
	my ($self, $type, $body, $answers) = @_;
	$self->send_message($type, $body);
	$self->send_message('H', '');
	return $self->read_until($answers . 'E');
}

sub parse
{
	my ($self, $name, $sql, @types) = @_;
	$self->demand('P', "$name\0$sql\0" . pack('n N*', scalar @types, @types), '1');
	return $self->{error};
}

sub bind
{
	my ($self, $portal, $name, @parameters) = @_;
	my $body = "$portal\0$name\0" . pack('n', scalar @parameters);
	$body .= pack('n', ref $_ ? 1 : 0) for @parameters;
	$body .= pack('n', scalar @parameters);
	for my $parameter (@parameters)
	{
		my $bytes = ref $parameter ? $parameter->[0] : $parameter;
		$body .= defined $bytes ? pack('N', length $bytes) . $bytes : pack('l>', -1);
	}
	$self->demand('B', $body . pack('n', 0), '2');
	return $self->{error};
}

sub fetch
{
	my ($self, $portal, $limit) = @_;
	my $end = $self->demand('E', "$portal\0" . pack('N', $limit), 'CIs');
	return { rows => $self->{rows}, more => $end eq 's', error => $self->{error} };
}

sub close_portal
{
	my ($self, $portal) = @_;
	$self->demand('C', "P$portal\0", '3');
}

sub sync
{
	my ($self) = @_;
	$self->send_message('S', '');
	$self->read_until('Z');
}

sub finish
{
	my ($self) = @_;
	$self->send_message('X', '');
	close $self->{socket};
}

1;
